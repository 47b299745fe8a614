"""What changed between our own blocks of two contracts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.core.contract_changes import COMPATIBLE, ContractChange, change_of
from airflow_dataml.core.contract_compare import Direction
from airflow_dataml.core.contract_extension import EXTENSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_dataml.core.contract_expectations import ExtensionCheck
    from airflow_dataml.core.contract_extension import Extension

# From letting everything through to letting nothing through.
_ON_FAIL = ("warn", "quarantine", "reject")
# Numbers of which more lets more data through, and of which more lets less through.
_MORE_LOOSER = ("tolerance", "min_rows", "min_history", "max_failed")
_MORE_TIGHTER = ("alpha", "false_alarm_rate")
_WORDS = ("name", "qualifier")


def diff_extensions(old: Extension, new: Extension) -> Iterator[ContractChange]:
    """Compare two blocks: settings one by one, checks by their lasting names."""
    if old.on_fail != new.on_fail:
        yield _on_fail(old.on_fail, new.on_fail)
    if old.require_rows != new.require_rows:
        direction = Direction.TIGHTER if new.require_rows else Direction.LOOSER
        what = "an empty table breaks the contract" if new.require_rows else "an empty table is no fault"
        yield change_of(f"{EXTENSION}.require_rows", what, direction)
    for name in ("max_fraction", "cap"):
        was, now = getattr(old.quarantine, name), getattr(new.quarantine, name)
        if was != now:
            moved = change_of("", "", Direction.LOOSER if now > was else Direction.TIGHTER)
            why = "what is set aside reaches no reader"
            yield ContractChange(
                f"{EXTENSION}.quarantine.{name}", f"{now:g}, was {was:g}", COMPATIBLE, moved.producers, why
            )
    if old.samples != new.samples:
        yield change_of(f"{EXTENSION}.samples", "other samples in reports", Direction.WORDS)
    yield from _checks(old, new)


def _on_fail(was: str, now: str) -> ContractChange:
    looser = _ON_FAIL.index(now) < _ON_FAIL.index(was)
    change = change_of(
        f"{EXTENSION}.on_fail", f"{now}, was {was}", Direction.LOOSER if looser else Direction.TIGHTER
    )
    if "warn" in (was, now):
        return change
    why = "rows at fault reach no reader either way"
    return ContractChange(change.place, change.what, COMPATIBLE, change.producers, why)


def _checks(old: Extension, new: Extension) -> Iterator[ContractChange]:
    before, after = {c.id: c for c in old.checks}, {c.id: c for c in new.checks}
    for name, was in before.items():
        if name in after:
            yield from _check(was, after[name])
        else:
            yield change_of(name, "gone", Direction.LOOSER if was.level == "fail" else Direction.SOFT)
    for name, now in after.items():
        if name not in before:
            yield change_of(name, "new", Direction.TIGHTER if now.level == "fail" else Direction.SOFT)


def _check(was: ExtensionCheck, now: ExtensionCheck) -> Iterator[ContractChange]:
    before, after = was.model_dump(), now.model_dump()
    for name in sorted(before):
        if before[name] != after[name]:
            what = f"{name} is {after[name]}, was {before[name]}"
            soft = was.level == now.level == "warn"
            direction = Direction.SOFT if soft else _direction(name, before[name], after[name])
            yield change_of(now.id, what, direction)


def _direction(name: str, before: Any, after: Any) -> Direction:
    if name in _WORDS:
        return Direction.WORDS
    if name == "level":
        return Direction.LOOSER if after == "warn" else Direction.TIGHTER
    if name in _MORE_LOOSER:
        return Direction.LOOSER if after > before else Direction.TIGHTER
    if name in _MORE_TIGHTER:
        return Direction.TIGHTER if after > before else Direction.LOOSER
    return Direction.OTHER
