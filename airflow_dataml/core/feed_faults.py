"""Telling a broken feed from a changed world, from profiles alone.

A world changes by degrees and in shape; a feed breaks in ways that are exact: every value times one factor, a value
that goes by another name, rows twice. Each rule asks for such exactness, and none for a mere difference. What both
can be is left to the drift tests: a fault that is missed costs a look at an alarm, one that is imagined costs a
retraining that never comes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from airflow_dataml.core.feed_units import unit_change
from airflow_dataml.core.profiles import counted, covered, merge_profiles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["FeedFault", "feed_faults"]

FaultKind = Literal[
    "unit_change", "null_burst", "category_rename", "duplicated_join", "constant_column", "rows_missing"
]
LEAST_ROWS = 50
# What a share must grow by, and its odds, to be a burst and not a drift.
BURST_SHARE, BURST_ODDS = 0.15, 4.0
RENAMED_SHARE = 0.01
UNIQUE, COPIES = 0.995, 1.05
SIGMAS = 4.0


@dataclass(frozen=True, slots=True)
class FeedFault:
    """One way in which the data of a window is surely not the world's.

    :param column: where; ``None`` when it is about the rows.
    :param confidence: from 0 to 1, how sure it is that no world does this.
    :param evidence: what was seen, in words with figures.
    """

    kind: FaultKind
    column: str | None
    confidence: float
    evidence: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.kind.replace('_', ' ')}: {self.evidence}"


def feed_faults(
    reference: Sequence[Mapping[str, Any]],
    current: Mapping[str, Any],
    *,
    columns: Sequence[str],
    earlier_rows: Sequence[int] = (),
) -> tuple[FeedFault, ...]:
    """Find what is broken in a batch, surest first.

    :param reference: profiles of the batches the model learnt from, one each: what differs between them is no fault.
    :param current: profile of the batch.
    :param columns: columns to look at; duplicated rows are looked for in all.
    :param earlier_rows: rows of the batches before it; those of the reference unless given.

    >>> def texts(nulls):
    ...     return {"rows": 1000, "columns": {"c": {"type": "text", "nulls": nulls, "distinct": 2,
    ...                                             "values": [["a", 600 - nulls], ["b", 400]], "other": 0}}}
    >>> [(f.kind, f.evidence) for f in feed_faults([texts(10)], texts(500), columns=["c"])]
    [('null_burst', 'c is missing in 50.0% of the rows, and in at most 1.0% of an earlier batch')]
    """
    known = [profile for profile in reference if profile["rows"]]
    if not known or current["rows"] == 0:
        return ()
    merged = merge_profiles(known)
    found = [
        _rows_missing(earlier_rows or [p["rows"] for p in known], current["rows"]),
        _copies(merged, current),
    ]
    for name in columns:
        now = current["columns"].get(name)
        sides = [(p["rows"], p["columns"][name]) for p in known if name in p["columns"]]
        if now is None or not sides:
            continue
        values = current["rows"] - now["nulls"]
        found.append(_null_burst(name, sides, now, rows=current["rows"]))
        if values < LEAST_ROWS:
            continue
        constant = _constant(name, sides, now)
        found.append(constant)
        if constant is None:
            found += [_unit(name, merged["columns"][name], sides, now), _rename(name, sides, now)]
    return tuple(sorted((f for f in found if f is not None), key=lambda f: -f.confidence))


def _rows_missing(earlier: Sequence[int], rows: int) -> FeedFault | None:
    least = min(earlier)
    # Below this a small batch is one by chance.
    if least < LEAST_ROWS or rows >= least / 2:
        return None
    return FeedFault(
        "rows_missing",
        None,
        0.95 if rows < least / 4 else 0.85,
        f"{rows:,} rows came, and the smallest of {len(earlier)} earlier batches had {least:,}",
    )


def _copies(reference: Mapping[str, Any], current: Mapping[str, Any]) -> FeedFault | None:
    """Rows twice: every column whose values all differed has them repeated, to the same extent."""
    found = {}
    for name, before in reference["columns"].items():
        now = current["columns"].get(name)
        if now is None or "sketch" not in now or "sketch" not in before or "sampled" in now:
            continue
        # One value for all rows says that the column broke, not the join.
        if now["distinct"] == 1:
            continue
        if covered(before) < LEAST_ROWS or covered(now) < LEAST_ROWS or _copies_of(before) > 1 / UNIQUE:
            continue
        found[name] = _copies_of(now)
    if not found or min(found.values()) < COPIES:
        return None
    name = min(found, key=lambda n: found[n])
    others = f", as does each of {len(found)} such columns" if len(found) > 1 else ""
    text = f"a value of {name} comes {found[name]:.2f} times on average, and came once before{others}"
    return FeedFault("duplicated_join", None, 0.97 if len(found) > 1 else 0.9, text)


def _copies_of(column: Mapping[str, Any]) -> float:
    """How often a value comes; the values with the smallest hashes are a plain sample of them."""
    hashes = column["sketch"]["hashes"]
    return sum(count for _, count in hashes) / len(hashes) if hashes else 1.0


def _null_burst(
    name: str, sides: Sequence[tuple[int, Mapping[str, Any]]], now: Mapping[str, Any], *, rows: int
) -> FeedFault | None:
    most = max(column["nulls"] / size for size, column in sides)
    share = now["nulls"] / rows
    before = max(most, 1 / min(size for size, _ in sides))
    noise = SIGMAS * (before * (1 - min(before, 1)) / rows) ** 0.5
    odds = share * (1 - before) / (before * (1 - share)) if share < 1 else float("inf")
    if rows < LEAST_ROWS or share < most + max(BURST_SHARE, noise) or odds < BURST_ODDS:
        return None
    text = f"{name} is missing in {share:.1%} of the rows, and in at most {most:.1%} of an earlier batch"
    return FeedFault("null_burst", name, 0.97 if share - most > 2 * BURST_SHARE else 0.85, text)


def _constant(
    name: str, sides: Sequence[tuple[int, Mapping[str, Any]]], now: Mapping[str, Any]
) -> FeedFault | None:
    least = min(int(column["distinct"]) for _, column in sides)
    # A batch of one value is no news where one of before had it, as a month has in a batch of a month.
    if now["distinct"] > 1 or least < 2 or max(_top_share(column) for _, column in sides) > 0.9:
        return None
    text = f"{name} has one value in all {covered(now):,} rows, and had at least {least:,} in every earlier batch"
    return FeedFault("constant_column", name, 0.95, text)


def _top_share(column: Mapping[str, Any]) -> float:
    counts = column.get("values") or column.get("cells") or ()
    return max((count for _, count in counts), default=0) / max(covered(column), 1)


def _unit(
    name: str,
    before: Mapping[str, Any],
    sides: Sequence[tuple[int, Mapping[str, Any]]],
    now: Mapping[str, Any],
) -> FeedFault | None:
    if before.get("kind", "numeric") != "numeric" or not before.get("grid") or not now.get("grid"):
        return None
    means = [float(column["sum"]) / covered(column) for _, column in sides if covered(column)]
    middle = sum(means) / len(means) if means else 0.0
    spread = max(abs(mean / middle - 1) for mean in means) / 2 if middle else 0.0
    found = unit_change(before, now, spread=min(spread, 0.05))
    return None if found is None else FeedFault("unit_change", name, found[0], f"{name} {found[1]}")


def _rename(
    name: str, sides: Sequence[tuple[int, Mapping[str, Any]]], now: Mapping[str, Any]
) -> FeedFault | None:
    """Values that every earlier batch had are gone, and unknown ones have just their shares."""
    if "values" not in now or any("values" not in column for _, column in sides):
        return None
    befores = [_shares(column) for _, column in sides]
    shares, n = _shares(now), counted(now)
    gone = {
        value: sum(side[value] for side in befores) / len(befores)
        for value in befores[0]
        if value not in shares and all(side.get(value, 0) >= RENAMED_SHARE for side in befores)
    }
    # What fell off the end of a list of top values is not unknown.
    known = {value for side in befores for value in side}
    if any(column["other"] for _, column in sides):
        known |= {value for value, share in shares.items() if share < RENAMED_SHARE}
    new = {v: share for v, share in shares.items() if v not in known and share >= RENAMED_SHARE / 2}
    gone = {value: share for value, share in gone.items() if share * n >= SIGMAS**2}
    spread = {v: max(s[v] for s in befores) - min(s[v] for s in befores) for v in gone}
    size = min(counted(column) for _, column in sides)
    pairs = _pairs(gone, new, spread, noise=(1 / n + 1 / size) ** 0.5)
    if not pairs:
        return None
    written = sum(_bare(old) == _bare(fresh) for old, fresh in pairs)
    kept = any(value in known for value in shares)
    if not kept and written < len(pairs) / 2:
        # Nothing is left of what was known: values that a batch has for itself, as its day.
        return None
    shown = ", ".join(
        f"{old!r} ({gone[old]:.1%}) and {fresh!r} ({new[fresh]:.1%})" for old, fresh in pairs[:3]
    )
    text = f"{name} lost values and got unknown ones in their place, of the same shares: {shown}"
    return FeedFault("category_rename", name, 0.98 if written else 0.95 if len(pairs) > 1 else 0.85, text)


def _pairs(
    gone: Mapping[str, float], new: Mapping[str, float], spread: Mapping[str, float], *, noise: float
) -> list[tuple[str, str]]:
    """Each lost value with the unknown one that took its place: the same letters, or else the nearest share."""
    left, pairs = dict(new), []
    for old, share in sorted(gone.items(), key=lambda item: -item[1]):
        alike = [value for value in left if _bare(value) == _bare(old)]
        nearest = alike or sorted(left, key=lambda value: abs(left[value] - share))[:1]
        borne = SIGMAS * noise * (share * (1 - share)) ** 0.5 + spread[old]
        if nearest and (alike or abs(left[nearest[0]] - share) <= borne):
            pairs.append((old, nearest[0]))
            del left[nearest[0]]
    return pairs


def _shares(column: Mapping[str, Any]) -> dict[str, float]:
    total = max(covered(column), 1)
    return {str(value): count / total for value, count in column["values"] if count}


def _bare(value: str) -> str:
    return "".join(letter for letter in value.casefold() if letter.isalnum())
