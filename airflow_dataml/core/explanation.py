"""What a model's scores rest on: attributions of its features, and how far two explanations differ."""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from airflow_dataml.core.extras import load
from airflow_dataml.core.features import as_coded, as_numbers
from airflow_dataml.core.statistics import Interval

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_dataml.core.features import Column, FeatureEncoding

_EXTRA = "monitoring"
METHOD = "permutation importance"
METHOD_OF_ONE = "occlusion"


class ExplanationSpec(BaseModel):
    """How a model version is explained.

    :param repeats: how often each feature is shuffled; the interval is over these.
    :param max_rows: rows of the holdout that are used, drawn with ``seed`` where it has more. The model scores
        ``repeats`` times the features times these rows, and as many again for every column of ``slices``.
    :param slices: feature columns; each group of rows they make is explained alone, and named in the report.
    :param extremes: how many of the most extreme scores are explained one by one, half of them the highest.
    :param confidence: of the intervals.
    :param min_rows: below it a slice is not explained, and the verdict of a whole explanation is ``unknown``.
    :param tolerance: share of importance that may move between features before the verdict is ``warn``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    repeats: int = Field(10, ge=2, le=1000)
    max_rows: int = Field(5000, ge=2, le=10_000_000)
    slices: tuple[str, ...] = ()
    extremes: int = Field(6, ge=0, le=1000)
    seed: int = Field(0, ge=0, lt=2**31)
    confidence: float = Field(0.95, gt=0.5, lt=1)
    min_rows: int = Field(100, ge=2)
    tolerance: float = Field(0.25, ge=0, le=1)


class Permuter(Protocol):
    """Shuffles one feature at a time and looks how much worse the model gets."""

    def __call__(
        self, *, loss_of: Callable[[Any], float], rows: int, features: int, repeats: int, seed: int
    ) -> Sequence[Sequence[float]]:
        """Return the growth of the loss, ``[features][repeats]``.

        :param loss_of: mean loss where the value of feature ``j`` in row ``i`` is that of row ``place[i, j]``.
        """


@runtime_checkable
class Encoded(Protocol):
    """A scorer that knows what its training rows looked like."""

    encoding: FeatureEncoding


@dataclass(frozen=True, slots=True)
class Attribution:
    """How much the mean loss grows when the model cannot use a feature.

    :param importance: growth of the loss; the interval is over the repeats, not over other rows.
    :param share: of the growth of all features together; what helps nothing has none.
    """

    feature: str
    importance: Interval
    share: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Shift:
    """How far the attributions moved between two explanations.

    :param rank_correlation: Spearman's, over the features of both; ``None`` with fewer than two, or all equal.
    :param share_shift: the share of importance that moved to other features, 0 to 1.
    :param shares: how much each feature's share grew, largest move first.
    """

    rank_correlation: float | None
    share_shift: float
    shares: tuple[tuple[str, float], ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "rank_correlation": self.rank_correlation,
            "share_shift": self.share_shift,
            "shares": [{"feature": name, "change": change} for name, change in self.shares],
        }


def attributions(growth: Mapping[str, Sequence[float]], *, level: float = 0.95) -> tuple[Attribution, ...]:
    """Mean, interval and share of every feature, most important first.

    :param growth: growth of the loss of each feature, one number per repeat; at least two.

    >>> found = attributions({"noise": [0.01, -0.01], "km": [0.2, 0.22]})
    >>> [(one.feature, round(one.share, 2)) for one in found]
    [('km', 1.0), ('noise', 0.0)]
    """
    np, stats = load("numpy", extra=_EXTRA), load("scipy.stats", extra=_EXTRA)
    found: list[tuple[str, Interval]] = []
    for name, values in growth.items():
        grown = np.asarray(values, dtype=float)
        mean = float(grown.mean())
        half = float(stats.t.ppf((1 + level) / 2, len(grown) - 1) * grown.std(ddof=1) / len(grown) ** 0.5)
        found.append((name, Interval(mean, mean - half, mean + half, level, len(grown))))
    helpful = sum(max(interval.estimate, 0.0) for _, interval in found)
    shares = [max(interval.estimate, 0.0) / helpful if helpful > 0 else 0.0 for _, interval in found]
    made = (Attribution(name, interval, share) for (name, interval), share in zip(found, shares, strict=True))
    return tuple(sorted(made, key=lambda one: (-one.importance.estimate, one.feature)))


def attribution_drift(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> Shift:
    """Rank correlation and share shift between two explanations; a feature one of them lacks counts as 0 there.

    :param old: attributions as reports keep them; so too ``new``.

    >>> def one(name, share):
    ...     return {"feature": name, "share": share, "importance": {"estimate": share}}
    >>> drift = attribution_drift([one("km", 0.75), one("hour", 0.25)], [one("km", 0.25), one("hour", 0.75)])
    >>> drift.rank_correlation, round(drift.share_shift, 2), drift.shares[0][0]
    (-1.0, 0.5, 'hour')
    """
    before, after = ({one["feature"]: one for one in side} for side in (old, new))
    names = sorted({*before, *after})
    moved = {name: _share(after.get(name)) - _share(before.get(name)) for name in names}
    shares = sorted(moved.items(), key=lambda item: (-abs(item[1]), item[0]))
    correlation = _spearman(*([_estimate(side.get(name)) for name in names] for side in (before, after)))
    return Shift(correlation, sum(map(abs, moved.values())) / 2, tuple(shares))


def _share(one: Mapping[str, Any] | None) -> float:
    return float(one["share"]) if one else 0.0


def _estimate(one: Mapping[str, Any] | None) -> float:
    return float(one["importance"]["estimate"]) if one else 0.0


def _spearman(left: Sequence[float], right: Sequence[float]) -> float | None:
    np, stats = load("numpy", extra=_EXTRA), load("scipy.stats", extra=_EXTRA)
    if len(set(left)) < 2 or len(set(right)) < 2:
        return None
    correlation = np.corrcoef(stats.rankdata(left), stats.rankdata(right))[0, 1]
    return round(float(correlation), 12)


def groups_of(name: str, column: Column, *, kind: str, most: int = 8) -> list[tuple[str, Any]]:
    """The groups of rows a feature column makes: its most frequent values, or its quarters where it is numeric.

    :param most: groups at most.
    :return: what each group is called, and its rows as an array of places.

    >>> [(what, rows.tolist()) for what, rows in groups_of("kind", ["a", "b", "a", None], kind="categorical")]
    [('a', [0, 2]), ('b', [1]), ('missing', [3])]
    """
    np = load("numpy", extra=_EXTRA)
    if kind == "categorical":
        coded = as_coded(column)
        codes, counts = np.unique(coded.codes, return_counts=True)
        largest = sorted(zip(codes.tolist(), counts.tolist(), strict=True), key=lambda one: -one[1])[:most]
        # Missing comes last, whatever its share.
        order = sorted(largest, key=lambda one: (one[0] < 0, -one[1], one[0]))
        return [
            (coded.values[code] if code >= 0 else "missing", np.flatnonzero(coded.codes == code))
            for code, _ in order
        ]
    numbers = as_numbers(name, column)
    known = numbers[~np.isnan(numbers)]
    edges = np.unique(np.quantile(known, [0, 0.25, 0.5, 0.75, 1])) if known.size else np.array([])
    if len(edges) == 1:
        edges = np.repeat(edges, 2)
    found = []
    for place, (low, high) in enumerate(itertools.pairwise(edges)):
        within = (numbers >= low if place == 0 else numbers > low) & (numbers <= high)
        found.append((f"{low:.4g} to {high:.4g}", np.flatnonzero(within)))
    missing = np.flatnonzero(np.isnan(numbers))
    return [*found, *([("missing", missing)] if missing.size else [])]


def typical_values(encoding: FeatureEncoding) -> dict[str, float | str | None]:
    """The training rows' mean of every numeric and most frequent value of every categorical feature."""
    numeric = {one.name: one.mean for one in encoding.numeric}
    return numeric | {one.name: next(iter(one.vocabulary), None) for one in encoding.categorical}


def extremes_of(scores: Any, count: int) -> list[tuple[int, Literal["high", "low"]]]:
    """Places of the most extreme scores, highest and lowest by turns; each row once.

    >>> extremes_of([0.5, 0.9, 0.1, 0.8], 3)
    [(1, 'high'), (2, 'low'), (3, 'high')]
    """
    np = load("numpy", extra=_EXTRA)
    order = np.argsort(np.asarray(scores, dtype=float), kind="stable").tolist()
    found: list[tuple[int, Literal["high", "low"]]] = []
    while order and len(found) < count:
        found.append((order.pop(), "high") if len(found) % 2 == 0 else (order.pop(0), "low"))
    return found


def summary_of(body: Mapping[str, Any]) -> str:
    """What an explanation says, in one line."""
    leading = ", ".join(f"{one['feature']} {one['share']:.0%}" for one in body["features"][:3])
    drift = body.get("drift")
    moved = f"; {drift['share_shift']:.0%} moved since {drift['against']}" if drift else ""
    return f"{METHOD} on {body['rows']} rows: {leading}{moved}"


def verdict_of(body: Mapping[str, Any], spec: ExplanationSpec) -> str:
    """``unknown`` with too few rows, ``warn`` where the model rests on other features than before, else ``pass``."""
    if body["rows"] < spec.min_rows:
        return "unknown"
    drift = body.get("drift")
    return "warn" if drift and drift["share_shift"] > spec.tolerance else "pass"
