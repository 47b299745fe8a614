"""A first contract, drafted from what a profile has seen, for a person to edit.

Every line says behind it what was seen, and every bound has head-room: the data the profile was made of
holds the contract, and so does a batch that is a little different.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.contract import Contract
from airflow_dataml.core.contract_rules import VARIABLE
from airflow_dataml.core.contract_text import plain_text
from airflow_dataml.core.errors import NotFoundError, SpecError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_dataml.core.datasets import Column

# Fewer rows say nothing about which column is a key.
_ENOUGH_ROWS = 10
# More values, or values seen less often, are not a list somebody keeps.
_FEW_VALUES, _TIMES_SEEN = 12, 5
# Profiles cut values off here, and a cut value is not the one in the table.
_CUT = 200
_INTEGERS = ("smallint", "integer", "bigint")
_TEXTS = ("text", "character varying", "character")
_KEYS = (*_INTEGERS, *_TEXTS, "uuid")


def draft_contract(
    *,
    dataset: str,
    columns: Sequence[Column],
    profile: Mapping[str, Any],
    keys: Sequence[str] = (),
    seen_in: str = "",
) -> str:
    """Write a contract that the profiled data holds.

    :param dataset: ``<data source>/<database>/<schema>/<table>``.
    :param profile: as in ``core.profiles``; a column without one is promised its type alone.
    :param keys: columns that together name a row; found in the profile unless given.
    :param seen_in: the version that was profiled, for the heading.
    :raises NotFoundError: a key is not a column.
    :raises SpecError: a column's name cannot stand in a contract.
    """
    names = [column.name for column in columns]
    for key in keys:
        if key not in names:
            what = "column"
            raise NotFoundError.from_available(what, key, names)
    text = "\n".join(_Draft(columns, profile, tuple(keys)).lines(dataset, seen_in)) + "\n"
    try:
        Contract.from_text(text, source="the draft")
    except SpecError as err:
        msg = f"no contract can be drafted for {dataset}: {err} Rename the column, or write the contract by hand."
        raise SpecError(msg) from err
    return text


class _Draft:
    def __init__(self, columns: Sequence[Column], profile: Mapping[str, Any], keys: tuple[str, ...]) -> None:
        self._columns = columns
        self._rows = int(profile.get("rows") or 0)
        self._seen: Mapping[str, Mapping[str, Any]] = profile.get("columns") or {}
        self._keys = keys

    def lines(self, dataset: str, seen_in: str) -> Iterator[str]:
        what = f"{seen_in or 'a profile'}: {self._rows:,} rows"
        yield f"# A first contract, drafted from {_comment(what)}."
        yield "# Behind each line stands what was seen. Edit it until it says what you promise."
        yield f"dataset: {plain_text(dataset)}"
        yield ""
        yield "checks:"
        yield from self._checks()
        yield ""
        yield "columns:"
        for column in self._columns:
            yield f"  - name: {plain_text(column.name)}"
            yield f"    data_type: {plain_text(column.type)}"
            yield from self._column(column)
        yield ""
        yield "x-dataml:"
        yield "  on_fail: reject  # or quarantine the rows at fault, or warn and publish"
        required = "true" if self._rows else "false  # no row was there"
        yield f"  require_rows: {required}"

    def _checks(self) -> Iterator[str]:
        yield f"  - schema:  # these {len(self._columns)} columns and no other"
        yield "      allow_other_column_order: true"
        if self._rows:
            least = math.floor(_round_down(self._rows / 2))
            yield "  - row_count:"
            yield f"      threshold: {{must_be_greater_than: {least}}}  # seen {self._rows:,}"
        if len(self._keys) > 1:
            yield "  - duplicate:  # the key, as given"
            yield f"      columns: [{', '.join(map(plain_text, self._keys))}]"
        yield from self._freshness()

    def _freshness(self) -> Iterator[str]:
        """Suggest, and no more: how old data may be is not to be seen in it."""
        for column in self._columns:
            newest = self._seen.get(column.name, {}).get("max")
            if column.type.startswith("timestamp") and isinstance(newest, str):
                yield f"  # - freshness:  # newest seen {_comment(newest)}"
                yield f"  #     column: {plain_text(column.name)}"
                yield "  #     threshold: {unit: day, must_be_less_than: 2}"
                return

    def _column(self, column: Column) -> Iterator[str]:
        seen = self._seen.get(column.name)
        if not self._rows or seen is None:
            yield "    # no row was there" if seen is not None else "    # not profiled"
            return
        checks = [*self._missing(seen), *self._duplicate(column, seen), *self._invalid(column, seen)]
        remarks = [line for line in checks if line.startswith("#")]
        written = [line for line in checks if not line.startswith("#")]
        yield from (f"    {line}" for line in remarks)
        if written:
            yield "    checks:"
            yield from (f"      {line}" for line in written)

    def _missing(self, seen: Mapping[str, Any]) -> Iterator[str]:
        # What is not finite counts as a null in a profile, and is none in the table.
        nulls = int(seen.get("nulls") or 0) - int(seen.get("nonfinite") or 0)
        if nulls <= 0:
            yield f"- missing:  # no null in {self._rows:,} rows"
            return
        share = 100 * nulls / self._rows
        bound = _round_up(share * 1.5 + 1)
        told = f"{nulls:,} nulls of {self._rows:,} rows ({share:.3g} %)"
        if bound >= 100:
            yield f"# {told}"
            return
        yield "- missing:"
        yield f"    threshold: {{metric: percent, must_be_less_than: {bound:g}}}  # {told}"

    def _duplicate(self, column: Column, seen: Mapping[str, Any]) -> Iterator[str]:
        if self._keys == (column.name,):
            yield "- duplicate:  # the key, as given"
        elif not self._keys and self._is_key(column, seen):
            yield f"- duplicate:  # no value seen twice in {self._rows:,} rows: a key?"

    def _is_key(self, column: Column, seen: Mapping[str, Any]) -> bool:
        enough = self._rows >= _ENOUGH_ROWS and not seen.get("nulls") and "sampled" not in seen
        return enough and _base(column) in _KEYS and seen.get("distinct") == self._rows

    def _invalid(self, column: Column, seen: Mapping[str, Any]) -> Iterator[str]:
        if column.numeric:
            yield from self._range(column, seen)
        elif _base(column) in _TEXTS:
            yield from self._values(seen)
        elif isinstance(seen.get("min"), str):
            yield f"# seen {_comment(seen['min'])} to {_comment(str(seen.get('max')))}"

    def _range(self, column: Column, seen: Mapping[str, Any]) -> Iterator[str]:
        low, high = seen.get("min"), seen.get("max")
        if not isinstance(low, int | float) or not isinstance(high, int | float):
            return
        whole = _base(column) in _INTEGERS
        told = f"seen {_number(low, whole)} to {_number(high, whole)}"
        if column.name in self._keys or _names_things(column.name) or self._is_key(column, seen):
            yield f"# {told}: a number that names something has no range"
        elif nonfinite := seen.get("nonfinite"):
            yield f"# {told}, and {nonfinite:,} values that are not finite, so no range"
        elif low == high:
            yield f"# always {_number(low, whole)}"
        else:
            least, most = _head_room(float(low), float(high))
            bounds = f"{{valid_min: {_number(least, whole)}, valid_max: {_number(most, whole)}}}"
            yield f"- invalid: {bounds}  # {told}"

    def _values(self, seen: Mapping[str, Any]) -> Iterator[str]:
        values = sorted(str(value) for value, _ in seen.get("values") or ())
        distinct = seen.get("distinct")
        known = self._rows - int(seen.get("nulls") or 0)
        every = "sampled" not in seen and not seen.get("other") and distinct == len(values)
        kept = 0 < len(values) <= _FEW_VALUES and known >= _TIMES_SEEN * len(values)
        if every and kept and not any(_unfit(value) for value in values):
            yield f"- invalid:  # {len(values)} different values in {known:,} rows"
            yield f"    valid_values: [{', '.join(map(plain_text, values))}]"
        elif distinct:
            about = "about " if "sampled" in seen else ""
            yield f"# {about}{distinct:,} different values"


def _base(column: Column) -> str:
    return column.type.split("(")[0]


def _names_things(name: str) -> bool:
    words = name.lower().split("_")
    return words[-1] in ("id", "key", "code", "number", "no", "uuid")


def _unfit(value: str) -> bool:
    return len(value) >= _CUT or not value.isprintable() or VARIABLE.search(value) is not None


def _head_room(low: float, high: float) -> tuple[float, float]:
    """Bounds half the seen range further out; a sign nobody has seen stays out.

    >>> _head_room(2.0, 10.0), _head_room(-60.0, 1301.0), _head_room(0.1, 0.9)
    ((0.0, 14.0), (-750.0, 2000.0), (0.0, 1.0))
    """
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    margin = (high - low) / 2
    least = 0.0 if low >= 0 else -_round_up(margin - low)
    return least, 0.0 if high <= 0 else _round_up(high + margin)


def _round_up(value: float) -> float:
    """The next number with two significant digits.

    >>> _round_up(1981.5), _round_up(4.05), _round_up(14.0)
    (2000.0, 4.1, 14.0)
    """
    step = _step(value)
    near = float(f"{round(value / step) * step:.12g}")
    return near if near >= value else float(f"{math.ceil(value / step) * step:.12g}")


def _round_down(value: float) -> float:
    """The last number with two significant digits before a value.

    >>> _round_down(168388), _round_down(0.5)
    (160000.0, 0.5)
    """
    step = _step(value)
    return float(f"{math.floor(value / step) * step:.12g}")


def _step(value: float) -> float:
    return 10.0 ** (math.floor(math.log10(value)) - 1) if value > 1e-300 else 1.0


def _number(value: float, whole: bool) -> str:
    """Write a number as YAML reads it; of a whole one, the digits alone.

    >>> _number(2000.0, True), _number(0.25, False), _number(1e300, False)
    ('2000', '0.25', '1e+300')
    """
    return str(int(value)) if whole or (value == int(value) and abs(value) < 1e15) else f"{value:.12g}"


def _comment(value: str) -> str:
    """What may stand in a comment: one printable line."""
    return "".join(c if c.isprintable() else "?" for c in value)[:80]
