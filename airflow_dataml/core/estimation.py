"""Performance without labels: what is expected of a batch, from the histogram of its scores alone.

On the holdout a champion's scores are cut into cells of equal share, and of each cell is kept what its rows turned out
to be. Later rows with the same score are expected to turn out the same, so the counts of a batch in those cells are
all that is needed. The idea is NannyML's confidence-based performance estimation for classification and its direct
loss estimation for regression; how often a score comes true is fitted by isotonic regression (Zadrozny and Elkan,
"Transforming classifier scores into accurate multiclass probability estimates", KDD 2002) on the cells.

Isotonic regression flatters the model it is fitted on, for it reorders what the scores had in the wrong order. Estimates
are therefore anchored: to what was measured on the holdout is added by how much the estimate of the batch differs from
that of the holdout. A batch with the holdout's scores is estimated at exactly what the holdout measured.

**Limits.** Only a change of the scores can be seen. Where the same score begins to mean something else (concept drift),
the estimate stays as it was while the performance goes; only labels tell. Nor is anything known of scores beyond those
of the holdout: they are taken for the nearest that it had. A regression's loss that grows with an input while the
scores stay is not seen from scores either: ``core.estimation_losses`` asks the features too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from airflow_dataml.core.extras import load
from airflow_dataml.core.statistics import Interval, log_losses, roc_auc, squared_errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_EXTRA = "monitoring"
CELLS = 256
# A cell's mean loss and its variance need some rows.
_LEAST_ROWS = 20
_HALVES = 6
DECISION = 0.5
_NEAR = 1e-7

Estimated = Literal["binary", "regression"]
# An estimate, and what one more unit of outcome in each cell would add to it.
_Part = tuple[float, Any]


def isotonic(sums: Sequence[float], rows: Sequence[int]) -> list[tuple[int, float, int]]:
    """Pool adjacent cells until their means do not fall: how many cells, their sum and their rows.

    The pool-adjacent-violators algorithm (Ayer, Brunk, Ewing, Reid and Silverman, Annals of Mathematical Statistics
    26, 1955, 641-647). A cell without a row goes with the one before.

    >>> isotonic([1.0, 0.0, 3.0], [4, 4, 4])
    [(2, 1.0, 8), (1, 3.0, 4)]
    """
    pools: list[tuple[int, float, int]] = []
    for own, count in zip(sums, rows, strict=True):
        cells, total, size = 1, float(own), int(count)
        # Cross products, so that a pool without a row divides nothing.
        while pools and pools[-1][1] * size >= total * pools[-1][2]:
            before = pools.pop()
            cells, total, size = cells + before[0], total + before[1], size + before[2]
        pools.append((cells, total, size))
    return pools


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the scores of a model turned out to be on the rows it was measured on, by cell of the score.

    :param edges: the lowest score of each cell but the first; a score's cell is the number of edges not above it.
    :param rows: rows of each cell.
    :param scores: mean score of each cell; of one without a row, its middle.
    :param sums: labels of each cell, added; for regression its squared errors.
    :param squares: for regression the squares of the squared errors, added.
    :param released: what was measured on all the rows, by metric.
    """

    task: Estimated
    edges: tuple[float, ...]
    rows: tuple[int, ...]
    scores: tuple[float, ...]
    sums: tuple[float, ...]
    squares: tuple[float, ...]
    released: Mapping[str, float]

    @classmethod
    def fit(cls, *, task: Estimated, labels: Any, scores: Any, cells: int | None = None) -> Self | None:
        """Read a calibration from labelled rows; ``None`` without any whose label and score are numbers.

        :param cells: of equal share, at most; without it 256, and for regression one per 20 rows, up to 64.

        >>> Calibration.fit(task="binary", labels=[0, 1, 0, 1], scores=[0.1, 0.6, 0.6, 0.9], cells=3).sums
        (0.0, 0.0, 1.0, 1.0)
        """
        np = load("numpy", extra=_EXTRA)
        truth, said = np.asarray(labels, dtype=float), np.asarray(scores, dtype=float)
        known = np.isfinite(truth) & np.isfinite(said)
        truth, said = truth[known], said[known]
        if not len(said):
            return None
        wanted = cells or (CELLS if task == "binary" else min(CELLS // 4, max(1, len(said) // _LEAST_ROWS)))
        edges = _edges(said, wanted, task)
        at, size = np.searchsorted(edges, said, side="right"), len(edges) + 1
        rows = np.bincount(at, minlength=size)
        means = np.bincount(at, weights=said, minlength=size) / np.maximum(rows, 1)
        outcome = truth if task == "binary" else squared_errors(truth, said)
        squares = () if task == "binary" else np.bincount(at, weights=outcome**2, minlength=size).tolist()
        return cls(
            task,
            tuple(edges.tolist()),
            tuple(rows.tolist()),
            tuple(float(f"{one:.6g}") for one in np.where(rows > 0, means, _middles(edges)).tolist()),
            tuple(np.bincount(at, weights=outcome, minlength=size).tolist()),
            tuple(squares),
            _measured(task, truth, said),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        lists = {name: list(getattr(self, name)) for name in ("edges", "rows", "scores", "sums", "squares")}
        return {"task": self.task, **lists, "released": dict(self.released)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`."""
        lists = {name: tuple(data[name]) for name in ("edges", "rows", "scores", "sums", "squares")}
        return cls(task=data["task"], **lists, released=dict(data["released"]))


def _edges(scores: Any, cells: int, task: Estimated) -> Any:
    """Scores that begin a cell of equal share, and the one that decides."""
    np = load("numpy", extra=_EXTRA)
    ordered = np.sort(scores)
    values = np.unique(ordered)
    # A shift may bring many rows to where few were: the first and the last cell are halved again and again.
    tails = 0.5 ** np.arange(1, _HALVES + 1) / cells if task == "binary" else np.empty(0)
    at = np.concatenate([np.arange(1, cells) / cells, tails, 1 - tails]) * len(ordered)
    starts = values if len(values) <= cells else ordered[at.astype(int)]
    edges = np.unique(starts[starts > ordered[0]])
    return np.union1d(edges, [DECISION]) if task == "binary" else edges


def _middles(edges: Any) -> Any:
    np = load("numpy", extra=_EXTRA)
    low, high = min(0.0, *edges, 0.0), max(1.0, *edges, 1.0)
    bounds = np.concatenate([[low], edges, [high]])
    return (bounds[1:] + bounds[:-1]) / 2


def _measured(task: Estimated, labels: Any, scores: Any) -> dict[str, float]:
    if task == "regression":
        mean = float(squared_errors(labels, scores).mean())
        return {"mean_squared_error": mean, "root_mean_squared_error": math.sqrt(mean)}
    auc = roc_auc(labels, scores)
    found = {
        "log_loss": float(log_losses(labels, scores).mean()),
        "brier_score_loss": float(squared_errors(labels, scores).mean()),
        "accuracy": float(((scores >= DECISION) == (labels > 0.5)).mean()),
    }
    return found if auc is None else {"roc_auc": auc} | found


def estimate(
    cells: Sequence[Sequence[int]], calibration: Calibration, *, level: float = 0.95
) -> dict[str, Interval]:
    """What the labels of a batch are expected to show, by metric; nothing for a batch without a score.

    An interval covers what will be *measured* on this batch: the delta method adds the variance of the labels the
    batch will have to that of the outcomes the calibration rests on, each of its cells for itself.

    :param cells: the batch's scores, as pairs of a cell of the calibration and its rows.
    :param level: share of batches whose measured metric the interval holds, while scores mean what they meant.

    >>> one = Calibration.fit(task="binary", labels=[0, 0, 1, 1] * 50, scores=[0.2, 0.4, 0.4, 0.8] * 50)
    >>> same = estimate([[0, 50], [1, 100], [2, 0], [3, 50]], one)
    >>> same["accuracy"].estimate == one.released["accuracy"]
    True
    """
    np = load("numpy", extra=_EXTRA)
    current = np.zeros(len(calibration.rows))
    for cell, count in cells:
        current[cell] += count
    n = int(current.sum())
    if not n:
        return {}
    z = float(load("scipy.stats", extra=_EXTRA).norm.ppf((1 + level) / 2))
    if calibration.task == "regression":
        return _expected_losses(current, calibration, level, z)
    measured, pools = np.asarray(calibration.rows, dtype=float), _pools(calibration)
    rates = _by_cell(pools, len(measured), [one.rate for one in pools])
    before, now = (_expected(side, rates, calibration) for side in (measured, current))
    found = {}
    for name, released in calibration.released.items():
        if name in now and name in before:
            (was, held), (value, slopes) = before[name], now[name]
            variance = _noise(slopes, current, rates) + _noise(
                _within(held, measured, pools), measured, rates
            )
            variance += sum(float(slopes[one.cells].sum()) ** 2 * one.doubt for one in pools)
            found[name] = _bounded(name, released + value - was, z * math.sqrt(variance), level, n)
    return found


@dataclass(frozen=True, slots=True)
class _Pool:
    """Cells that come true equally often, and the variance of that rate."""

    cells: slice
    rows: int
    rate: float
    doubt: float


def _pools(calibration: Calibration) -> list[_Pool]:
    pools, first = [], 0
    for cells, total, rows in isotonic(calibration.sums, calibration.rows):
        # Half a row of each kind: a pool that was never wrong may be yet.
        share = (total + 0.5) / (rows + 1)
        pools.append(_Pool(slice(first, first + cells), rows, total / rows, share * (1 - share) / rows))
        first += cells
    return pools


def _by_cell(pools: Sequence[_Pool], cells: int, values: Sequence[float]) -> Any:
    np = load("numpy", extra=_EXTRA)
    found = np.empty(cells)
    for pool, value in zip(pools, values, strict=True):
        found[pool.cells] = value
    return found


def _within(slopes: Any, rows: Any, pools: Sequence[_Pool]) -> Any:
    """What of the measured outcomes the pools do not share: the doubt that comes with the anchor."""
    return slopes - rows * _by_cell(pools, len(rows), [float(slopes[p.cells].sum()) / p.rows for p in pools])


def _noise(slopes: Any, rows: Any, rates: Any) -> float:
    """Variance that the labels of some rows bring."""
    np = load("numpy", extra=_EXTRA)
    return float((slopes**2 * rates * (1 - rates) / np.maximum(rows, 1)).sum())


def _expected(rows: Any, rates: Any, calibration: Calibration) -> dict[str, _Part]:
    """Expected metrics of some rows in each cell, and what more of a cell's rows coming true would add."""
    np = load("numpy", extra=_EXTRA)
    said, n = np.asarray(calibration.scores), float(rows.sum())
    sure = np.clip(said, _NEAR, 1 - _NEAR)
    decided = np.concatenate([[0.0], calibration.edges]) >= DECISION
    # Of a loss: its value where the label is 0, and by how much it is more where it is 1.
    losses: dict[str, tuple[Any, Any]] = {
        "log_loss": (-np.log1p(-sure), np.log1p(-sure) - np.log(sure)),
        "brier_score_loss": (said**2, 1 - 2 * said),
        "accuracy": (1.0 - decided, 2.0 * decided - 1),
    }
    found = {
        name: (float((rows * (off + rates * more)).sum() / n), rows * more / n)
        for name, (off, more) in losses.items()
    }
    area = _expected_area(rows * rates, rows * (1 - rates))
    return found if area is None else found | {"roc_auc": area}


def _expected_area(positive: Any, negative: Any) -> _Part | None:
    """Area under the curve of expected counts; rows of one cell are even."""
    np = load("numpy", extra=_EXTRA)
    p, q = positive.sum(), negative.sum()
    if p <= 0 or q <= 0:
        return None
    below = np.cumsum(negative) - negative / 2
    above = p - np.cumsum(positive) + positive / 2
    area = float((positive * below).sum() / (p * q))
    return area, (positive + negative) * ((below - above) / (p * q) - area * (1 / p - 1 / q))


def _expected_losses(current: Any, calibration: Calibration, level: float, z: float) -> dict[str, Interval]:
    """Mean loss of each cell, weighed with the batch's rows."""
    np = load("numpy", extra=_EXTRA)
    rows, n = np.asarray(calibration.rows), float(current.sum())
    means, squares = np.asarray(calibration.sums) / rows, np.asarray(calibration.squares)
    spreads = np.maximum(squares / rows - means**2, 0) * rows / np.maximum(rows - 1, 1)
    overall = squares.sum() / rows.sum() - (sum(calibration.sums) / rows.sum()) ** 2
    # Few rows may agree by chance.
    spreads = np.where(rows < _LEAST_ROWS, np.maximum(spreads, overall), spreads)
    mean = float((current * means).sum() / n)
    half = z * math.sqrt(float((current**2 * spreads / rows + current * spreads).sum())) / n
    found = _bounded("mean_squared_error", mean, half, level, int(n))
    root = [math.sqrt(one) for one in (found.estimate, found.low, found.high)]
    return {
        "mean_squared_error": found,
        "root_mean_squared_error": Interval(root[0], root[1], root[2], level, int(n)),
    }


def _bounded(name: str, value: float, half: float, level: float, n: int) -> Interval:
    most = math.inf if name in ("log_loss", "mean_squared_error") else 1.0
    kept = [min(max(one, 0.0), most) for one in (value, value - half, value + half)]
    return Interval(kept[0], kept[1], kept[2], level, n)
