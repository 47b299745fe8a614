"""Performance of a model of several classes without labels, from the histograms of its probabilities.

On the holdout is counted, for every class and cell of the probability given to it, how often it was the true one; apart
where it is the predicted class, for that is what accuracy asks. Adjacent cells are pooled until a larger probability does
not come true less often (isotonic regression, one class against all others: Zadrozny and Elkan, KDD 2002). Later rows
with the same probabilities are expected to turn out the same. Estimates are anchored to what the holdout measured, and
cannot see what those of ``core.estimation`` cannot.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from airflow_dataml.core.classes import LEAST_PROBABILITY, class_log_losses
from airflow_dataml.core.estimation import isotonic
from airflow_dataml.core.extras import load
from airflow_dataml.core.statistics import Interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_EXTRA = "monitoring"
# Cells of all classes together: what a report can hold.
_CELLS, _MOST, _LEAST = 1600, 32, 6
_REACH = 8.0


@dataclass(frozen=True, slots=True)
class ClassCalibration:
    """What the probabilities of a model turned out to be on the rows it was measured on.

    :param classes: that it knows.
    :param edges: the lowest probability of each cell but the first.
    :param cells: those that had a row: place of the class, 1 where it is the predicted one, the probability's cell.
    :param rows: of each of these; so too how many of them had the class, and the mean log loss of those that have it.
    :param measured: rows of the holdout.
    :param released: what was measured on all of them, by metric.
    """

    classes: tuple[str, ...]
    edges: tuple[float, ...]
    cells: tuple[tuple[int, int, int], ...]
    rows: tuple[int, ...]
    sums: tuple[int, ...]
    losses: tuple[float, ...]
    measured: int
    released: Mapping[str, float]

    @classmethod
    def fit(cls, *, labels: Any, probabilities: Any, classes: Sequence[str]) -> Self | None:
        """Read a calibration from labelled rows; ``None`` without any that has probabilities.

        :param labels: places among the classes; one outside of them is a class that was never learnt.
        :param probabilities: ``[n, classes]``.

        >>> said = [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]
        >>> ClassCalibration.fit(labels=[0, 1, 1], probabilities=said, classes=("a", "b")).released["accuracy"]
        0.6666666666666666
        """
        np = load("numpy", extra=_EXTRA)
        said, truth = np.asarray(probabilities, dtype=float), np.asarray(labels).astype(np.int64)
        known = np.isfinite(said).all(axis=1)
        said, truth = said[known], truth[known]
        if not len(said):
            return None
        truth = np.where((truth >= 0) & (truth < len(classes)), truth, -1)
        edges = _edges(len(classes))
        own, top = np.arange(len(classes)), said.argmax(axis=1)
        cell = np.searchsorted(edges, said, side="right")
        flat = ((own * 2 + (own == top[:, None])) * (len(edges) + 1) + cell).ravel()
        rows = np.bincount(flat)
        loss = -np.log(np.clip(said, LEAST_PROBABILITY, 1.0)).ravel()
        kept = np.flatnonzero(rows)
        hits = np.bincount(flat, weights=(own == truth[:, None]).ravel(), minlength=len(rows))
        lost = np.bincount(flat, weights=loss, minlength=len(rows)) / np.maximum(rows, 1)
        places = np.unravel_index(kept, (len(classes), 2, len(edges) + 1))
        return cls(
            classes=tuple(classes),
            edges=edges,
            cells=tuple(zip(*(one.tolist() for one in places), strict=True)),
            rows=tuple(rows[kept].tolist()),
            sums=tuple(hits[kept].astype(int).tolist()),
            losses=tuple(float(f"{one:.6g}") for one in lost[kept].tolist()),
            measured=len(said),
            released={
                "log_loss": float(class_log_losses(truth, said).mean()),
                "accuracy": float((top == truth).mean()),
            },
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, of some tens of kilobytes at most."""
        return {"task": "multiclass"} | asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`."""
        plain = {name: tuple(data[name]) for name in ("classes", "edges", "rows", "sums", "losses")}
        return cls(
            cells=tuple((one[0], one[1], one[2]) for one in data["cells"]),
            measured=data["measured"],
            released=dict(data["released"]),
            **plain,
        )

    def counts(self, probabilities: Any) -> list[tuple[str, bool, int, int]]:
        """Count rows in cells: a class, whether it is the predicted one, the cell of its probability and the rows."""
        np = load("numpy", extra=_EXTRA)
        said = np.asarray(probabilities, dtype=float)
        top, cell = said.argmax(axis=1), np.searchsorted(self.edges, said, side="right")
        found = []
        for place, name in enumerate(self.classes):
            for chosen in (False, True):
                rows = np.bincount(cell[(top == place) == chosen, place])
                found += [(name, chosen, int(at), int(rows[at])) for at in np.flatnonzero(rows)]
        return found

    def estimate(
        self, counts: Iterable[tuple[str, bool, int, int]], *, level: float = 0.95
    ) -> dict[str, Interval]:
        """What the labels of a batch are expected to show; nothing for a batch without a row.

        An interval covers what will be *measured* on the batch: the delta method adds what its labels will scatter
        to what those of the holdout did. Which of the classes a row has excludes all others, so a sum over classes
        scatters less than it is taken to here, and never more.

        :param counts: as :meth:`counts` gives them, in any order.
        :param level: share of batches whose measured metric the interval holds, while probabilities mean what they meant.
        """
        np, norm = load("numpy", extra=_EXTRA), load("scipy.stats", extra=_EXTRA).norm
        now, n = self._now(counts)
        if not n:
            return {}
        rows, sums = (np.asarray(side, dtype=float) for side in (self.rows, self.sums))
        before, m = rows / self.measured, self.measured
        chosen = np.array([cell[1] for cell in self.cells], dtype=float)
        pools = self._pools()
        rates = np.empty(len(rows))
        for pool in pools:
            rates[pool] = sums[pool].sum() / rows[pool].sum()
        found = {}
        for name, worth in (("log_loss", np.asarray(self.losses)), ("accuracy", chosen)):
            value = self.released[name] + float(((now - before) * rates * worth).sum())
            # What one more of the holdout's rows that had the class would have added.
            slopes = worth / m
            for pool in pools:
                slopes[pool] += ((now - before)[pool] * worth[pool]).sum() / rows[pool].sum()
            scatter = _scatter(now * n, rates, worth / n, n) + _scatter(rows, rates, slopes, m)
            # A pool that always or never came true may yet do otherwise.
            scatter += sum(_unseen(now[pool], worth[pool], sums[pool], rows[pool]) for pool in pools)
            half = float(norm.ppf((1 + level) / 2)) * math.sqrt(scatter)
            most = 1.0 if name == "accuracy" else math.inf
            kept = [min(max(one, 0.0), most) for one in (value, value - half, value + half)]
            found[name] = Interval(kept[0], kept[1], kept[2], level, n)
        return found

    def _now(self, counts: Iterable[tuple[str, bool, int, int]]) -> tuple[Any, int]:
        """Rows of a batch by cell, per row of the batch; those of a cell the holdout had not, in the nearest it had."""
        np = load("numpy", extra=_EXTRA)
        place = {name: at for at, name in enumerate(self.classes)}
        kept: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for at, (known, top, cell) in enumerate(self.cells):
            kept.setdefault((known, top), []).append((cell, at))
        now, n = np.zeros(len(self.rows)), 0
        for name, chosen, cell, rows in counts:
            n += rows if chosen else 0
            # A class that was never predicted on the holdout is taken as it was beside others.
            own = kept.get((place.get(name, -1), int(chosen))) or kept.get((place.get(name, -1), 0))
            if own:
                now[min(own, key=lambda one: abs(one[0] - cell))[1]] += rows
        return now / max(n, 1), n

    def _pools(self) -> list[slice]:
        """Adjacent cells of one class that come true equally often."""
        found, first = [], 0
        while first < len(self.cells):
            last = first
            while last < len(self.cells) and self.cells[last][:2] == self.cells[first][:2]:
                last += 1
            for cells, _, _ in isotonic(self.sums[first:last], self.rows[first:last]):
                found.append(slice(first, first + cells))
                first += cells
        return found


def _edges(classes: int) -> tuple[float, ...]:
    """Bounds of cells, evenly in the logit, and fewer of them for many classes."""
    cells = max(_LEAST, min(_MOST, _CELLS // (2 * classes)))
    steps = ((2 * at / cells - 1) * _REACH for at in range(1, cells))
    return tuple(float(f"{1 / (1 + math.exp(-one)):.9g}") for one in steps)


def _scatter(rows: Any, rates: Any, worth: Any, n: float) -> float:
    """Variance of a sum over rows, each of which comes true in one of its cells and is worth something there."""
    mean = float((rows * rates * worth).sum()) / n
    return max(float((rows * rates * worth**2).sum()) - n * mean**2, 0.0)


def _unseen(shares: Any, worth: Any, sums: Any, rows: Any) -> float:
    """Variance that comes with a rate of zero or one that only so many rows have shown."""
    size = float(rows.sum())
    if 0 < sums.sum() < size:
        return 0.0
    share = 0.5 / (size + 1)
    return float((shares * worth).sum()) ** 2 * share * (1 - share) / size
