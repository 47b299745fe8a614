"""Two forms of one check, compared by what data they let through."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.contract_checks import DuplicateCheck, FreshnessCheck
from airflow_dataml.core.contract_regions import EVERYTHING, Region, meet, region_of
from airflow_dataml.core.contract_rules import VARIABLE, Missing, Validity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_dataml.core.contract import Contract
    from airflow_dataml.core.contract_parts import ContractCheck, ContractColumn

_COUNTING = ("missing", "invalid", "duplicate", "failed_rows")
_MINUTES = {"minute": 1, "hour": 60, "day": 1440}
_WORDS = ("name", "qualifier", "attributes", "store_failed_rows")
_VALIDITY = tuple(Validity.model_fields)
_MISSING = tuple(Missing.model_fields)
# Rules that let more through when they grow; of the others, more is stricter.
_GROWS_LOOSER = ("valid_values", "valid_max", "valid_max_length")
_SETS = ("valid_values", "invalid_values", "missing_values")
_NUMBERS = ("valid_min", "valid_max", "valid_min_length", "valid_max_length")


class Direction(StrEnum):
    """Which way a check moved.

    It lets through more, less or neither; columns that readers by name do not notice; what only warns; or
    it says the same in other words.
    """

    LOOSER = "looser"
    TIGHTER = "tighter"
    OTHER = "other"
    OPENER = "opener"
    SOFT = "soft"
    WORDS = "words"


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference between two forms of a check."""

    direction: Direction
    text: str


@dataclass(frozen=True, slots=True)
class Promise:
    """A check with what its column and its contract add to it."""

    contract: Contract
    check: ContractCheck

    @property
    def column(self) -> ContractColumn | None:
        """The column the check stands under."""
        return next((c for c in self.contract.columns if c.name == self.check.column), None)

    @property
    def never_refuses(self) -> bool:
        """Whether the check can only warn."""
        return self.regions[0] == EVERYTHING

    @property
    def expected(self) -> str:
        """What the measured value must be, and that a miss only warns."""
        given = self.check.body.thresholds
        said = given is not None and given.additional is not None
        return self.check.expected + (" (warn)" if self.check.level == "warn" and not said else "")

    @property
    def regions(self) -> tuple[Region | None, Region | None]:
        """What does not fail, and what does not even warn; ``None`` where a variable has no value yet."""
        body = self.check.body
        given = body.thresholds
        first = region_of(given, default=body.default, resolve=self.number)
        if given is None or first is None:
            whole = None if first is None else self._measured(first)
            return whole, whole
        second = region_of(given.additional, default="", resolve=self.number)
        if second is None:
            return None, None
        levels = [(given.level, first)] + ([(given.additional.level, second)] if given.additional else [])
        refusing = meet(region for level, region in levels if level == "fail")
        return self._measured(refusing), self._measured(meet(region for _, region in levels))

    def _measured(self, region: Region) -> Region:
        body = self.check.body
        if isinstance(body, FreshnessCheck):
            return region.times(_MINUTES[body.threshold.unit])
        if region == EVERYTHING or self.check.type not in (*_COUNTING, "row_count"):
            return region
        if body.unit == "%":
            return region.both(Region.of(low=(0, 0), high=(100, 0)))
        return region.both(Region.of(low=(0, 0))).whole()

    def number(self, name: str) -> float | None:
        """A variable's default, if it is a number."""
        variable = self.contract.variables.get(name)
        return variable.default if variable and isinstance(variable.default, int | float) else None

    def rules(self, name: str) -> Any:
        """A rule about valid or missing values, the check's own before its column's."""
        body, column = self.check.body, self.column
        if not isinstance(body, Missing):
            return None
        if name in _MISSING:
            own = body.missing_values is not None or body.missing_format is not None
            return getattr(body if own or column is None else column, name)
        if not isinstance(body, Validity):
            return None
        return getattr(body if body.defines_validity or column is None else column, name)

    def bound(self, name: str) -> Any:
        """A rule's number, a variable's default put in."""
        value = self.rules(name)
        found = VARIABLE.fullmatch(value) if isinstance(value, str) else None
        number = self.number(found[2]) if found is not None else None
        return value if number is None else number

    @property
    def rest(self) -> dict[str, Any]:
        """What the check measures: everything that is neither wording, rule, filter nor threshold."""
        known = {*_WORDS, *_VALIDITY, "threshold", "filter", "columns"}
        body = {k: v for k, v in self.check.body.model_dump().items() if k not in known}
        if "column_expression" in body:
            body["column_expression"] = body["column_expression"] or getattr(
                self.column, "column_expression", None
            )
        return body


def compare_checks(old: Promise, new: Promise) -> list[Finding]:
    """List what is different between two forms of a check; the same type, or nothing compares."""
    found = [
        *_thresholds(old, new),
        *_filters(old, new),
        *_keys(old, new),
        *_facets(old, new),
        *_rest(old, new),
    ]
    if old.never_refuses and new.never_refuses:
        found = [Finding(Direction.SOFT, finding.text) for finding in found]
    words = {
        name for name in _WORDS if getattr(old.check.body, name, None) != getattr(new.check.body, name, None)
    }
    if words and not found:
        found.append(Finding(Direction.WORDS, f"other {' and '.join(sorted(words))}"))
    return found


def _ordered(old: Region, new: Region) -> Direction:
    if new.within(old):
        return Direction.TIGHTER
    return Direction.LOOSER if old.within(new) else Direction.OTHER


def _thresholds(old: Promise, new: Promise) -> Iterator[Finding]:
    before, after = old.regions, new.regions
    text = f"must be {new.expected}, was {old.expected}"
    if old.check.type == "schema":
        return
    if None in before or None in after:
        if old.expected != new.expected:
            yield Finding(Direction.OTHER, text)
        return
    (kept, passed), (keeps, passes) = before, after
    if kept is None or keeps is None or passed is None or passes is None:
        return
    if kept != keeps:
        # Of two units, only nothing at all is the same in both.
        comparable = old.check.body.unit == new.check.body.unit or old.check.type == "freshness"
        none_at_all = Region.of(low=(0, 0), high=(0, 0)) in (kept, keeps)
        yield Finding(_ordered(kept, keeps) if comparable or none_at_all else Direction.OTHER, text)
    elif passed != passes:
        yield Finding(Direction.SOFT, text)


def _filters(old: Promise, new: Promise) -> Iterator[Finding]:
    before, after = getattr(old.check.body, "filter", None), getattr(new.check.body, "filter", None)
    if before == after:
        return
    text = f"looks at rows where {after or 'anything'}, was {before or 'anything'}"
    counts_rows = new.check.type in _COUNTING and new.check.body.unit == old.check.body.unit == ""
    if counts_rows and (before is None or after is None):
        yield Finding(Direction.LOOSER if before is None else Direction.TIGHTER, text)
    else:
        yield Finding(Direction.OTHER, text)


def _keys(old: Promise, new: Promise) -> Iterator[Finding]:
    before, after = old.check.body, new.check.body
    if not isinstance(before, DuplicateCheck) or not isinstance(after, DuplicateCheck):
        return
    if set(before.columns) != set(after.columns):
        text = f"a row is named by {', '.join(after.columns)}, was {', '.join(before.columns)}"
        fewer, more = set(after.columns) < set(before.columns), set(after.columns) > set(before.columns)
        yield Finding(Direction.TIGHTER if fewer else Direction.LOOSER if more else Direction.OTHER, text)


def _facets(old: Promise, new: Promise) -> Iterator[Finding]:
    for name in _VALIDITY:
        before, after = old.bound(name), new.bound(name)
        direction = _facet(name, before, after, old.check.type)
        if direction is not None:
            yield Finding(direction, f"{name} is {_shown(after)}, was {_shown(before)}")


def _facet(name: str, before: Any, after: Any, type_: str) -> Direction | None:
    if _same(before) == _same(after):
        return None
    if type_ == "aggregate":
        return Direction.OTHER
    # A value that counts as missing breaks a missing check and is spared by every other one.
    tighter = type_ == "missing" if name in _MISSING else name not in _GROWS_LOOSER
    more, less = (Direction.TIGHTER, Direction.LOOSER) if tighter else (Direction.LOOSER, Direction.TIGHTER)
    if before is None or after is None:
        rule, none = (more, less) if name in _MISSING else (Direction.TIGHTER, Direction.LOOSER)
        return rule if before is None else none
    if name in _SETS:
        return _by_size(_same(before), _same(after), more, less)
    if name in _NUMBERS and not isinstance(before, str) and not isinstance(after, str):
        return more if after > before else less
    return Direction.OTHER


def _by_size(was: frozenset[Any], now: frozenset[Any], more: Direction, less: Direction) -> Direction:
    return more if was < now else less if now < was else Direction.OTHER


def _rest(old: Promise, new: Promise) -> Iterator[Finding]:
    before, after = old.rest, new.rest
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        if was == now:
            continue
        text = f"{name} is {_shown(now)}, was {_shown(was)}"
        if name in ("allow_extra_columns", "allow_other_column_order"):
            yield Finding(Direction.OPENER if now else Direction.TIGHTER, text)
        else:
            yield Finding(Direction.OTHER, text)


def _same(value: Any) -> Any:
    """What two rules are compared by: the set of values, the expression alone, or the rule itself."""
    if isinstance(value, list):
        return frozenset((type(item).__name__, item) for item in value)
    return getattr(value, "regex", value)


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, list):
        shown = ", ".join(map(str, value[:8]))
        return f"[{shown}{', ...' if len(value) > 8 else ''}]"
    text = str(getattr(value, "regex", value))
    return text.lower() if isinstance(value, bool) else text
