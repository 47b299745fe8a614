"""The schema check: the columns a table has against those its contract wants."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from airflow_dataml.core.contract_checks import SchemaCheck
from airflow_dataml.core.quality import CheckResult, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_dataml.adapters.native.catalog import Table, TableColumn
    from airflow_dataml.core.contract_checks import Check
    from airflow_dataml.core.contract_parts import ContractCheck, ContractColumn

_TYPE = re.compile(
    r"(?P<base>[^(\[]+?)\s*(?:\((?P<first>\d+)\s*(?:,\s*(?P<second>\d+)\s*)?\)\s*(?P<tail>[a-z ]*))?"
)
_NAMES = {
    "bool": "boolean",
    "bpchar": "character",
    "char": "character",
    "decimal": "numeric",
    "float": "double precision",
    "float4": "real",
    "float8": "double precision",
    "int": "integer",
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "time": "time without time zone",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
    "timetz": "time with time zone",
    "varbit": "bit varying",
    "varchar": "character varying",
}


class Kind(NamedTuple):
    """A type and its sizes; a size that is ``None`` is not compared."""

    name: str
    length: int | None = None
    precision: int | None = None
    scale: int | None = None
    time_precision: int | None = None

    def fits(self, found: Kind) -> bool:
        """Whether a type is what this one asks for."""
        sizes = zip(self[1:], found[1:], strict=True)
        return self.name == found.name and all(size is None or size == other for size, other in sizes)

    def __str__(self) -> str:
        if self.time_precision is not None and self.name.startswith("timestamp "):
            return f"timestamp({self.time_precision}){self.name.removeprefix('timestamp')}"
        sizes = self.precision if self.scale is None else f"{self.precision},{self.scale}"
        size = self.length if self.length is not None else sizes
        size = size if size is not None else self.time_precision
        return self.name if size is None else f"{self.name}({size})"


def parse_kind(text: str) -> Kind:
    """Read a PostgreSQL type as people write it, under the name the catalog has.

    >>> str(parse_kind("timestamptz(3)")), str(parse_kind("decimal(10, 2)")), str(parse_kind("text[]"))
    ('timestamp(3) with time zone', 'numeric(10,2)', 'array')
    """
    words = " ".join(text.lower().split())
    if words.endswith("[]"):
        return Kind("array")
    found = _TYPE.fullmatch(words)
    if found is None:
        return Kind(words)
    base = f"{found['base']} {found['tail'] or ''}".strip()
    name = _NAMES.get(base, base)
    first, second = (int(size) if size is not None else None for size in (found["first"], found["second"]))
    if name.startswith("character"):
        return Kind(name, length=first)
    if name == "numeric":
        return Kind(name, precision=first, scale=second)
    return Kind(name, time_precision=first) if name.startswith("time") else Kind(name)


def judge_schema(
    check: ContractCheck, body: Check, wanted: dict[str, ContractColumn], table: Table
) -> CheckResult:
    """Compare a table's columns with the contract's."""
    extra = isinstance(body, SchemaCheck) and body.allow_extra_columns
    anyhow = isinstance(body, SchemaCheck) and body.allow_other_column_order
    there = {column.name: column for column in table.columns}
    differences = [f"column {name!r} is missing" for name in wanted if name not in there]
    if not extra:
        differences += [f"column {name!r} is not in the contract" for name in there if name not in wanted]
    differences += _mismatches(wanted, there)
    count = len(differences)
    order = [name for name in wanted if name in there]
    if not anyhow and order != [name for name in there if name in wanted]:
        differences.append("the columns are in another order")
    return CheckResult.of(
        check,
        Verdict.FAIL if differences else Verdict.PASS,
        observed=count,
        detail="; ".join(differences),
        diagnostics={"schema_events_count": count, "differences": differences},
    )


def _mismatches(wanted: dict[str, ContractColumn], there: dict[str, TableColumn]) -> Iterator[str]:
    for name, column in wanted.items():
        if column.data_type is None or name not in there:
            continue
        expected, found = _expected(column), there[name]
        actual = Kind(found.kind.lower(), found.length, found.precision, found.scale, found.time_precision)
        if not expected.fits(actual):
            yield f"column {name!r} is {actual}, not {expected}"


def _expected(column: ContractColumn) -> Kind:
    written = parse_kind(str(column.data_type))
    given = (
        column.character_maximum_length,
        column.numeric_precision,
        column.numeric_scale,
        column.datetime_precision,
    )
    # A size inside the type's name is as good as one beside it, and the one a person sees first.
    sizes = [own if own is not None else beside for own, beside in zip(written[1:], given, strict=True)]
    return Kind(written.name, *sizes)
