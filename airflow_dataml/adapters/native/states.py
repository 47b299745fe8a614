"""States: what was measured of one segment, as plain JSON, and how several make the state of the whole.

A state is ``{"version", "plan", "values", "references", "ranges", "distinct"}``. ``values`` holds the mergeable
metrics. ``references`` holds the values a reference lacks, each beside a token of that reference's content.
``ranges`` holds the least, the greatest and the NULLs of each key column per duplicate check, and ``distinct`` how many
keys there were in the set of segments that ended with this one.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.native.metrics import ROWS, STATE_VERSION
from airflow_dataml.adapters.native.values import UnmergeableError, Value, merge

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_dataml.adapters.native.metrics import Metric, Plan
    from airflow_dataml.core.segments import Segment, State


def new_state(plan: Plan, values: Mapping[str, Value]) -> State:
    """Begin the state of a segment from its mergeable values; one that is missing makes it unusable later."""
    return {
        "version": STATE_VERSION,
        "plan": plan.digest,
        "values": {metric.key: values[metric.key] for metric in plan.mergeable if metric.key in values},
        "references": {},
        "ranges": {},
    }


def usable(state: Mapping[str, Any] | None, plan: Plan) -> bool:
    """Whether a kept state says everything the plan would measure of its segment."""
    if (
        not isinstance(state, dict)
        or state.get("version") != STATE_VERSION
        or state.get("plan") != plan.digest
    ):
        return False
    return {metric.key for metric in plan.mergeable} <= set(state.get("values", ()))


def rows_expected(segments: Sequence[Segment], plan: Plan) -> float | None:
    """Guess the rows of all segments by those that are known; ``None`` if none is."""
    states = [segment.state for segment in segments if segment.state and usable(segment.state, plan)]
    # A filter that moves with time leaves no number that lasts.
    known = [state["values"][ROWS.key] for state in states if ROWS.key in state["values"]]
    return sum(known) / len(known) * len(segments) if known else None


def merge_states(states: Sequence[State]) -> State:
    """Return the state of a whole from those of its parts.

    What cannot be merged, such as the least of several texts or values that references of different
    content lack, is not in it.

    :raises ValueError: there is no state, or they are of different plans.
    """
    plans = {(state["version"], state["plan"]) for state in states}
    if len(plans) != 1:
        msg = f"states of {len(plans)} plans cannot be merged; give states of one plan_digest."
        raise ValueError(msg)
    version, plan = plans.pop()
    values: dict[str, Value] = {}
    for key in _shared(state["values"] for state in states):
        try:
            values[key] = merge(key.partition(":")[0], [state["values"][key] for state in states])
        except UnmergeableError:
            continue
    references = {}
    for key in _shared(state["references"] for state in states):
        found = [state["references"][key] for state in states]
        if len({token for token, _ in found}) == 1:
            references[key] = [found[0][0], sum(count for _, count in found)]
    ranges = {key: _span([s["ranges"][key] for s in states]) for key in _shared(s["ranges"] for s in states)}
    return {"version": version, "plan": plan, "values": values, "references": references, "ranges": ranges}


def set_digest(keys: Iterable[str]) -> str:
    """Name a set of segments."""
    return hashlib.sha256(json.dumps(sorted(keys)).encode()).hexdigest()


def distinct_of(segments: Sequence[Segment], metric: Metric) -> int | None:
    """Return the distinct keys kept for exactly this set of segments, if any of them keeps it."""
    wanted = set_digest(segment.key for segment in segments)
    for segment in segments:
        kept = (segment.state or {}).get("distinct") or {}
        if kept.get("over") == wanted and metric.key in kept.get("values", {}):
            return int(kept["values"][metric.key])
    return None


def apart(one: Mapping[str, Any], other: Mapping[str, Any], metric: Metric) -> bool:
    """Whether two segments share no key, by the range of any of the key's columns."""
    left, right = one.get("ranges", {}).get(metric.key, {}), other.get("ranges", {}).get(metric.key, {})
    return any(_apart(left[column], right[column]) for column in left.keys() & right.keys())


def _apart(left: list[Any], right: list[Any]) -> bool:
    low, high, nulls = left
    other_low, other_high, other_nulls = right
    if nulls and other_nulls:
        # To a key of several columns NULL is a value like any other.
        return False
    if low is None or other_low is None:
        return True
    try:
        return _below(high, other_low) or _below(other_high, low)
    except UnmergeableError:
        return False


def _below(low: Value, high: Value) -> bool:
    return low != high and merge("max", [low, high]) == high


def _span(ranges: list[dict[str, list[Any]]]) -> dict[str, list[Any]]:
    kinds = ("min", "max", "count")
    return {
        column: [merge(kind, [found[column][index] for found in ranges]) for index, kind in enumerate(kinds)]
        for column in _shared(ranges)
    }


def _shared(mappings: Iterable[Mapping[str, Any]]) -> list[str]:
    found = list(mappings)
    return [key for key in found[0] if all(key in other for other in found)] if found else []
