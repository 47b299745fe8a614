"""YAML for people: quotes only where a reader, of YAML 1.1 or 1.2, could take a text for anything else."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.contract_yaml import write_yaml

if TYPE_CHECKING:
    import yaml

_TAG = "tag:yaml.org,2002:"
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_/().-]*(?: [A-Za-z0-9_/().-]+)*\Z")
_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"))


def plain_text(value: str) -> str:
    """Write one text, on one line.

    >>> plain_text("EWR"), plain_text("NO"), plain_text("a: b")
    ('EWR', '"NO"', '"a: b"')
    """
    return value if _is_plain(value) else write_yaml(value).strip()


def write_readable(value: Any) -> str:
    """Write plain values so that people can read them and a parser gets the same ones back.

    >>> print(write_readable({"checks": [{"missing": None}], "country": "NO"}), end="")
    checks:
      - missing:
    country: "NO"
    """
    import yaml

    return yaml.dump(value, Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=10_000)


def _is_plain(value: str) -> bool:
    return _PLAIN.match(value) is not None and value.lower() not in _WORDS


@functools.cache
def _dumper() -> type[yaml.SafeDumper]:
    import yaml

    class Dumper(yaml.SafeDumper):
        """Safe dumper that indents lists, writes no alias and quotes what is not plain."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
            super().increase_indent(flow, False)

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        style = None if _is_plain(value) else "|" if "\n" in value.strip() else '"'
        return dumper.represent_scalar(f"{_TAG}str", value, style=style)

    Dumper.add_representer(str, text)
    Dumper.add_representer(type(None), lambda dumper, _: dumper.represent_scalar(f"{_TAG}null", ""))
    return Dumper
