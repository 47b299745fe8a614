"""YAML as Soda reads it, read strictly: no key twice, and every value knows its line.

Soda reads YAML 1.2, where ``NO`` is a country and ``12:30`` a text. PyYAML reads 1.1, where they are
``False`` and 750, so the scalars are resolved here by the rules of 1.2.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import ContractError

if TYPE_CHECKING:
    import yaml

Path = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
_SCALARS = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9][0-9_]*|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("timestamp", r"[0-9]{4}-[0-9]{2}-[0-9]{2}", "0123456789"),
    ("merge", r"<<", "<"),
)


@dataclass(frozen=True, slots=True)
class YamlText:
    """A parsed document: plain values, and the line each of them stands on.

    :param source: the file's name, or what else to call the text in messages.
    """

    source: str
    value: Any
    lines: dict[Path, int]

    def line(self, path: Path) -> int:
        """Line of a value, or of the nearest thing around it."""
        return next(self.lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in self.lines)

    def where(self, path: Path) -> str:
        """Say where a value stands, for the beginning of a message.

        >>> YamlText("rides.yml", {}, {(): 1, ("columns", 0): 4}).where(("columns", 0, "nmae"))
        'rides.yml line 4: columns[0].nmae'
        """
        return f"{self.source} line {self.line(path)}: {path_text(path)}"


def path_text(path: Path) -> str:
    """Write a path as people do.

    >>> path_text(("columns", 3, "checks", 0, "missing"))
    'columns[3].checks[0].missing'
    """
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".") or "the document"


def read_yaml(text: str, *, source: str) -> YamlText:
    """Parse one YAML document.

    :raises ContractError: the text is not YAML, is empty, or holds a key twice; names the line.
    """
    import yaml

    try:
        loader = _loader()(text)
        node = loader.get_single_node()
        value = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as err:
        mark = err.problem_mark or err.context_mark
        msg = f"{source} line {mark.line + 1 if mark else 1}: {err.problem or err.context}."
        raise ContractError(msg) from err
    except (yaml.YAMLError, ValueError) as err:
        msg = f"{source} is not YAML: {str(err).splitlines()[0]}."
        raise ContractError(msg) from err
    if node is None:
        msg = f"{source} is empty: begin with 'dataset: <data source>/<database>/<schema>/<table>'."
        raise ContractError(msg)
    return YamlText(source, value, dict(_lines(node, ())))


def write_yaml(value: Any) -> str:
    """Write plain values so that any YAML reader gets the same ones back: every text is quoted.

    >>> print(write_yaml({"origin": "NO", "hours": 12}), end="")
    "origin": "NO"
    "hours": 12
    """
    import yaml

    return yaml.dump(value, Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=10_000)


def _lines(node: yaml.Node, path: Path) -> list[tuple[Path, int]]:
    import yaml

    found = [(path, node.start_mark.line + 1)]
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inside = (*path, str(key.value))
            found += [*_lines(value, inside), (inside, key.start_mark.line + 1)]
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            found += _lines(value, (*path, index))
    return found


def _number(text: str) -> int | float:
    """Read a number as YAML 1.2 does.

    >>> _number("012"), _number("0o17"), _number("1e3"), _number("-.5")
    (12, 15, 1000.0, -0.5)
    """
    plain = text.replace("_", "").lower()
    if re.fullmatch(r"[-+]?[0-9]+", plain):
        return int(plain)
    if plain.startswith(("0o", "0x")):
        return int(plain, 0)
    return float(plain.replace(".inf", "inf").replace(".nan", "nan"))


def _construct_number(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int | float:
    return _number(loader.construct_scalar(node))


@functools.cache
def _loader() -> type[yaml.SafeLoader]:
    import yaml

    class Loader(yaml.SafeLoader):
        """Safe loader of YAML 1.2 scalars that refuses a key written twice."""

        yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - the base declares it so

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            seen: set[str] = set()
            for key, _ in node.value:
                if not isinstance(key, yaml.ScalarNode) or key.tag not in (f"{_TAG}str", f"{_TAG}merge"):
                    raise yaml.constructor.ConstructorError(None, None, "a key must be text", key.start_mark)
                if key.value in seen:
                    problem = f"the key {key.value!r} is written twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add(key.value)
            return super().construct_mapping(node, deep=deep)

    for name, pattern, first in _SCALARS:
        Loader.add_implicit_resolver(
            f"{_TAG}{name}", re.compile(rf"(?:{pattern})\Z"), [c.strip("\0") for c in first]
        )
    for name in ("int", "float"):
        Loader.add_constructor(f"{_TAG}{name}", _construct_number)
    return Loader


@functools.cache
def _dumper() -> type[yaml.SafeDumper]:
    import yaml

    class Dumper(yaml.SafeDumper):
        """Safe dumper that quotes every text and writes no alias."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    Dumper.add_representer(str, lambda dumper, text: dumper.represent_scalar(f"{_TAG}str", text, style='"'))
    return Dumper
