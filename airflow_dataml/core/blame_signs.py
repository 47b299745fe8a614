"""Signs: what of a source's new rows is beyond what is usual for that source, from profiles alone."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.blame import BlamePolicy, Sign
from airflow_dataml.core.monitoring import MonitorPolicy, column_shifts
from airflow_dataml.core.profiles import merge_profiles
from airflow_dataml.core.statistics import benjamini_hochberg

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# Beyond the largest move of the past by this factor a move is not just one more of its kind.
_BEYOND = 2.0
_NAMES_ROWS, _NO_LONGER = 0.99, 0.97
# A column that is another one in every part, as the month of a monthly batch is.
_ANYTHING = 5.0
_FEWER, _MORE = 0.7, 1.5
_CERTAIN = 0.0


def signs_of(
    now: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]], *, policy: BlamePolicy
) -> tuple[Sign, ...]:
    """Return what of new rows is unlike the rows of earlier parts, the surest first.

    A column has moved where its PSI surely exceeds both the tolerance and twice the largest PSI that any earlier
    part has against the others: what moves every month is no sign when it moves once more. A column of whole
    numbers or texts that names rows is compared by its uniqueness, never by its values.

    :param now: profile of the new rows.
    :param earlier: profiles of the parts before, in the order they came or the reverse of it.
    """
    if not earlier:
        return ()
    before = merge_profiles(earlier)
    found = list(_of_rows(now, earlier, before))
    tested: list[Sign] = []
    for name, column in before["columns"].items():
        new = now["columns"].get(name)
        if new is None or new.get("kind") != column.get("kind"):
            found.append(Sign(name, "gone" if new is None else "type", 1.0))
        elif not _names_rows(column, before["rows"]):
            tested += _of_column(name, now, earlier, before, policy)
    rejected = benjamini_hochberg([s.p_value for s in tested], level=policy.level) if tested else []
    found += [sign for sign, bad in zip(tested, rejected, strict=True) if bad]
    return tuple(sorted(found, key=lambda s: (s.p_value, -s.size)))


def _of_rows(
    now: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]], before: Mapping[str, Any]
) -> Iterable[Sign]:
    sizes = [max(profile["rows"], 1) for profile in earlier]
    ratio = now["rows"] / sorted(sizes)[len(sizes) // 2]
    # Sources that grow or shrink from part to part have their own idea of usual.
    widest = max([1.0, *(max(b / a, a / b) for a, b in itertools.pairwise(sizes))])
    ordinary = min(sizes) <= now["rows"] <= max(sizes)
    if not ordinary and (ratio < _FEWER / widest or ratio > _MORE * widest):
        yield Sign(None, "rows", ratio, usual=None, p_value=_CERTAIN)
    for name, column in before["columns"].items():
        new = now["columns"].get(name)
        if new is None or not new.get("distinct") or not all(_unique(p, name) for p in earlier):
            continue
        share = new["distinct"] / max(now["rows"] - new["nulls"], 1)
        if share < _NO_LONGER and column.get("kind") != "temporal":
            yield Sign(name, "uniqueness", share, usual=None, p_value=_CERTAIN)


def _unique(profile: Mapping[str, Any], name: str) -> bool:
    column = profile["columns"].get(name)
    if column is None or not column.get("distinct"):
        return False
    rows = profile["rows"] - column["nulls"]
    return bool(rows > 1 and column["distinct"] >= _NAMES_ROWS * rows)


def _names_rows(column: Mapping[str, Any], rows: int) -> bool:
    if str(column["type"]).split("(")[0] in ("real", "double precision", "numeric"):
        return False
    known = rows - column["nulls"]
    return bool(known > 1 and column.get("distinct", 0) >= _NAMES_ROWS * known)


def _of_column(
    name: str,
    now: Mapping[str, Any],
    earlier: Sequence[Mapping[str, Any]],
    before: Mapping[str, Any],
    policy: BlamePolicy,
) -> Iterable[Sign]:
    usual = _usual(name, [p for p in earlier if name in p["columns"]], policy)
    for kind in ("values", "missing"):
        borne = max(policy.tolerance, _BEYOND * usual.get(kind, 0.0))
        if borne > _ANYTHING:
            continue
        for shift in _shifts(name, before, now, tolerance=borne, policy=policy):
            if shift.test == kind and not math.isnan(shift.p_value):
                yield Sign(name, kind, shift.psi, usual=usual.get(kind), p_value=shift.p_value)


def _usual(name: str, earlier: Sequence[Mapping[str, Any]], policy: BlamePolicy) -> dict[str, float]:
    """The largest PSI of any earlier part against the others; empty for a single one."""
    found: dict[str, float] = {}
    if len(earlier) < 2:
        return found
    narrow = [{"rows": p["rows"], "columns": {name: p["columns"][name]}} for p in earlier]
    for place, one in enumerate(narrow):
        others = merge_profiles(narrow[:place] + narrow[place + 1 :])
        for shift in _shifts(name, others, one, tolerance=policy.tolerance, policy=policy):
            found[shift.test] = max(found.get(shift.test, 0.0), shift.psi)
    return found


def _shifts(
    name: str,
    reference: Mapping[str, Any],
    current: Mapping[str, Any],
    *,
    tolerance: float,
    policy: BlamePolicy,
) -> tuple[Any, ...]:
    borne = MonitorPolicy(tolerance=tolerance, level=policy.level, min_rows=policy.min_rows)
    return column_shifts(reference, current, columns=[name], policy=borne)
