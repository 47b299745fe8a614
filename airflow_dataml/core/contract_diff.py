"""What changed between two contracts, and who may break on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.core.contract_changes import (
    ADDITIVE,
    BREAKING,
    COMPATIBLE,
    ContractChange,
    ContractDiff,
    change_of,
)
from airflow_dataml.core.contract_compare import Direction, Promise, compare_checks
from airflow_dataml.core.contract_diff_extension import diff_extensions
from airflow_dataml.core.datasets import Column
from airflow_dataml.core.schemas import diff_schemas

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_dataml.core.contract import Contract
    from airflow_dataml.core.contract_parts import ContractColumn
    from airflow_dataml.core.schemas import ColumnChange


def diff_contracts(old: Contract, new: Contract) -> ContractDiff:
    """Compare two contracts.

    A promise that is gone or weaker breaks consumers; one that is new or stronger may break producers.
    """
    changes = [
        *_dataset(old, new),
        *_columns(old, new),
        *_checks(old, new),
        *_variables(old, new),
        *diff_extensions(old.extension, new.extension),
    ]
    if not changes and old.digest != new.digest:
        changes.append(change_of("the document", "other words", Direction.WORDS))
    return ContractDiff(old.source, new.source, tuple(changes))


def _dataset(old: Contract, new: Contract) -> Iterator[ContractChange]:
    (*before, table), (*after, other) = old.dataset.split("/"), new.dataset.split("/")
    what = f"{new.dataset}, was {old.dataset}"
    if table != other:
        yield ContractChange("dataset", what, BREAKING, BREAKING, "readers and writers know the old name")
    elif before != after:
        yield change_of("dataset", what, Direction.WORDS, "the same table in another place")
    was, now = old.document.get("filter"), new.document.get("filter")
    if was != now:
        what = f"rows where {now or 'anything'}, was {was or 'anything'}"
        yield change_of("filter", what, Direction.OTHER, "every check looks at other rows")


def _columns(old: Contract, new: Contract) -> Iterator[ContractChange]:
    for change in diff_schemas(_schema(old), _schema(new)).changes:
        yield _column(change, new)
    for column in new.columns:
        was = next((c for c in old.columns if c.name == column.name), column)
        if was.description != column.description:
            yield change_of(f"columns.{column.name}", "other description", Direction.WORDS)


def _column(change: ColumnChange, new: Contract) -> ContractChange:
    place, flags = f"columns.{change.column}", _schema_flags(new)
    strict = flags is not None
    if change.kind == "added":
        asked = strict or any(check.column == change.column for check in new.checks)
        why = "writers must deliver it" if asked else "nothing checks it"
        return ContractChange(
            place, f"new {change.new}".strip(), ADDITIVE, BREAKING if asked else ADDITIVE, why
        )
    if change.kind == "removed":
        refused = strict and not (flags or {}).get("allow_extra_columns")
        why = "readers lose it" + ("; writers must stop delivering it" if refused else "")
        return ContractChange(place, "gone", BREAKING, BREAKING if refused else COMPATIBLE, why)
    if change.kind == "moved":
        ordered = strict and not (flags or {}).get("allow_other_column_order")
        why = "columns are checked in order" if ordered else "columns are found by name"
        return ContractChange(place, "stands elsewhere", COMPATIBLE, BREAKING if ordered else COMPATIBLE, why)
    what = f"{change.new or 'any type'}, was {change.old or 'any type'}"
    if not change.old:
        producers = BREAKING if strict else COMPATIBLE
        return ContractChange(place, what, COMPATIBLE, producers, "the type is promised now")
    if not change.new:
        return ContractChange(place, what, BREAKING, COMPATIBLE, "the type is no longer promised")
    wider = change.change is COMPATIBLE
    why = "every old value fits" if wider else "values may not fit, or compare otherwise"
    why += "; writers must deliver the new type" if strict else ""
    return ContractChange(place, what, change.change, BREAKING if strict else COMPATIBLE, why)


def _schema(contract: Contract) -> list[Column]:
    return [Column(column.name, _type(column)) for column in contract.columns]


def _type(column: ContractColumn) -> str:
    """The type with its sizes, wherever they are written; empty when none is promised."""
    base = column.data_type or ""
    sizes = [
        column.character_maximum_length,
        column.numeric_precision,
        column.numeric_scale,
        column.datetime_precision,
    ]
    given = ", ".join(str(size) for size in sizes if size is not None)
    if not base or not given or "(" in base:
        return base
    first, _, zone = base.partition(" with")
    return f"{first}({given}){f' with{zone}' if zone else ''}"


def _schema_flags(contract: Contract) -> dict[str, Any] | None:
    """The options of the schema check, if there is one that refuses."""
    return next((c.body.model_dump() for c in contract.checks if c.type == "schema"), None)


def _checks(old: Contract, new: Contract) -> Iterator[ContractChange]:
    both = {c.name for c in old.columns} & {c.name for c in new.columns} | {None}
    before = {c.id: Promise(old, c) for c in old.checks if c.column in both}
    after = {c.id: Promise(new, c) for c in new.checks if c.column in both}
    pairs = [(was, after[name]) for name, was in before.items() if name in after]
    gone = [was for name, was in before.items() if name not in after]
    fresh = [now for name, now in after.items() if name not in before]
    for was in list(gone):
        now = _successor(was, gone, fresh)
        if now is not None:
            gone.remove(was)
            fresh.remove(now)
            pairs.append((was, now))
    for was, now in pairs:
        for finding in compare_checks(was, now):
            yield change_of(now.check.id, finding.text, finding.direction)
    for was in gone:
        direction = Direction.SOFT if was.never_refuses else Direction.LOOSER
        yield change_of(was.check.id, f"gone: {was.check.name} {was.expected}", direction)
    for now in fresh:
        direction = Direction.SOFT if now.never_refuses else Direction.TIGHTER
        yield change_of(now.check.id, f"new: {now.check.name} {now.expected}", direction)


def _successor(was: Promise, gone: Sequence[Promise], fresh: Sequence[Promise]) -> Promise | None:
    """The check an old one became under another qualifier: the equal one, or else the only one."""
    kin = [now for now in fresh if _kind(now) == _kind(was)]
    equal = [now for now in kin if all(f.direction is Direction.WORDS for f in compare_checks(was, now))]
    alone = len(kin) == 1 and sum(_kind(other) == _kind(was) for other in gone) == 1
    return equal[0] if equal else kin[0] if alone else None


def _kind(promise: Promise) -> tuple[str, str | None]:
    return promise.check.type, promise.check.column


def _variables(old: Contract, new: Contract) -> Iterator[ContractChange]:
    for name in sorted(old.variables.keys() | new.variables.keys()):
        was, now = old.variables.get(name), new.variables.get(name)
        place = f"variables.{name}"
        if was is None and now is not None:
            must = now.default is None
            why = "whoever verifies must give it" if must else "it has a default"
            yield ContractChange(place, "new", COMPATIBLE, BREAKING if must else COMPATIBLE, why)
        elif now is None:
            yield ContractChange(place, "gone", COMPATIBLE, BREAKING, "whoever still gives it is refused")
        elif was is not None and was.default != now.default:
            what = f"default is {now.default}, was {was.default}"
            # As a bound it is compared where it stands; inside SQL nobody can tell.
            direction = Direction.OTHER if _in_sql(name, new) else Direction.WORDS
            yield change_of(place, what, direction)


def _in_sql(name: str, contract: Contract) -> bool:
    """Whether a variable is used inside a longer text."""

    def used(value: Any) -> bool:
        if isinstance(value, dict | list):
            return any(map(used, value.values() if isinstance(value, dict) else value))
        text = str(value).strip()
        return f"var.{name}" in text and not (
            text.startswith("${") and text.endswith("}") and text.count("${") == 1
        )

    return used(contract.document)
