"""Fitting what a squared error is expected to be, by bins and pairs of bins; see ``core.estimation_losses``."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from airflow_dataml.core.estimation_losses import GROUPS, Binned, LossModel, cell_of
from airflow_dataml.core.extras import load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Terms = tuple[float, ...]

_EXTRA = "monitoring"
BINS = 16
_FEATURES, _PAIRS = 12, 6
# Rows that a bin needs, and those a term is shrunk by; the next where the one before explains nothing.
_BIN_ROWS, _SHRINKAGE = 50, (10.0, 100.0, 1000.0)
_LEAST_ROWS = 20 * GROUPS
_DIGITS = 5
MOST_ROWS = 100_000


def fit_losses(*, losses: Any, columns: Mapping[str, Any]) -> LossModel | None:
    """Fit the squared errors of the holdout; ``None`` with fewer than 20 rows per tenth.

    Costs a third of a second for 60,000 rows of 8 features. Of more than 100,000 rows evenly many are left out.

    :param losses: squared errors ``[n]``.
    :param columns: the features and the score, ``[n]`` each: numbers, or texts and ``None`` in an object array.
    """
    np = load("numpy", extra=_EXTRA)
    known = np.flatnonzero(np.isfinite(losses))
    known = known[:: max(1, math.ceil(len(known) / MOST_ROWS))]
    y = np.asarray(losses, dtype=float)[known]
    if len(y) < _LEAST_ROWS:
        return None
    bins = max(2, min(BINS, len(y) // _BIN_ROWS))
    cut = [Binned.fit(name, column[known], bins=bins) for name, column in columns.items()]
    coded = [one.codes(columns[one.name][known]) for one in cut]
    kept = _telling(y, cut, coded)
    features, codes = [cut[at] for at in kept], [coded[at] for at in kept]
    pairs = _pairs(y, features, codes)
    coarse = [one.coarse(own) for one, own in zip(features, codes, strict=True)]
    design = _Design.of([*codes, *(cell_of(coarse[one], coarse[other]) for one, other in pairs)])
    terms, replicas = design.fit(y)
    spread, _ = design.fit(design.missed(y, replicas) ** 2, tenths=0)
    return LossModel(
        features=tuple(features),
        pairs=tuple(pairs),
        cells=design.cells,
        terms=terms,
        replicas=replicas,
        spread=spread,
        overall=float(y.var()),
        released=float(y.mean()),
    )


def _gain(residuals: Any, cells: Any) -> float:
    """How much of the residuals' squares the means of cells explain, beyond what chance would."""
    np = load("numpy", extra=_EXTRA)
    rows, sums = np.bincount(cells), np.bincount(cells, weights=residuals)
    return float((sums**2 / (rows + _SHRINKAGE[0])).sum() - (residuals**2).mean() * (rows > 0).sum())


def _telling(y: Any, features: Sequence[Binned], codes: Sequence[Any]) -> list[int]:
    """Places of the features that explain most alone, the score, which is last, always among them."""
    residuals = y - y.mean()
    gains = [_gain(residuals, one) for one in codes[:-1]]
    best = sorted(range(len(gains)), key=lambda at: -gains[at])[: _FEATURES - 1]
    return [*sorted(best), len(features) - 1]


def _pairs(y: Any, features: Sequence[Binned], codes: Sequence[Any]) -> list[tuple[int, int]]:
    """The pairs that explain most of what their features leave, each for itself."""
    np = load("numpy", extra=_EXTRA)
    left = y - y.mean()
    for _ in range(2):
        for one in codes:
            rows, sums = np.bincount(one), np.bincount(one, weights=left)
            left = left - (sums / (rows + _SHRINKAGE[0]))[one]
    coarse = [one.coarse(own) for one, own in zip(features, codes, strict=True)]
    found = [
        (_gain(left, cell_of(coarse[one], coarse[other])), (one, other))
        for one, other in itertools.combinations(range(len(features)), 2)
    ]
    return [pair for gain, pair in sorted(found, reverse=True)[:_PAIRS] if gain > 0]


@dataclass(frozen=True, slots=True)
class _Design:
    """Normal equations of terms, by tenths of the rows.

    :param cells: of every term, the block and its place there.
    :param starts: of every block, its first term.
    :param places: of every block, each row's place among its terms.
    :param tenth: of every row.
    :param products: of the terms with each other, ``[tenths, terms, terms]``.
    :param rows: of each tenth.
    """

    cells: tuple[tuple[int, int], ...]
    starts: tuple[int, ...]
    places: tuple[Any, ...]
    tenth: Any
    products: Any
    rows: Any

    @classmethod
    def of(cls, flat: Sequence[Any]) -> Self:
        """Read the normal equations of blocks' cells, which hold each row once."""
        np = load("numpy", extra=_EXTRA)
        cells: list[tuple[int, int]] = []
        places, starts = [], []
        for block, one in enumerate(flat):
            kinds = np.flatnonzero(np.bincount(one))
            starts.append(len(cells))
            places.append(np.searchsorted(kinds, np.arange(kinds[-1] + 1))[one])
            cells += [(block, int(kind)) for kind in kinds]
        tenth = np.arange(len(flat[0])) % GROUPS
        products = np.zeros((GROUPS, len(cells), len(cells)))
        ends = [*starts[1:], len(cells)]
        for i, one in enumerate(places):
            base, a = (tenth * (ends[i] - starts[i]) + one), slice(starts[i], ends[i])
            for j, other in enumerate(places[: i + 1]):
                b, size = slice(starts[j], ends[j]), ends[j] - starts[j]
                shape = (GROUPS, ends[i] - starts[i], size)
                both = np.bincount(base * size + other, minlength=math.prod(shape)).reshape(shape)
                products[:, a, b] = both
                products[:, b, a] = both.transpose(0, 2, 1)
        return cls(
            tuple(cells), tuple(starts), tuple(places), tenth, products, np.bincount(tenth, minlength=GROUPS)
        )

    def fit(self, y: Any, *, tenths: int = GROUPS) -> tuple[Terms, tuple[Terms, ...]]:
        """Terms of all rows, and of all but each of some tenths; zero where none of them beats the mean."""
        np = load("numpy", extra=_EXTRA)
        mean = float(y.mean())
        sums = self._sums(y - mean)
        products, total = self.products.sum(axis=0), sums.sum(axis=0)
        for shrinkage in _SHRINKAGE:
            ridge = shrinkage * np.eye(len(self.cells))
            whole = np.linalg.solve(products + ridge, total)
            others = [
                np.linalg.solve(products - self.products[at] + ridge, total - sums[at])
                for at in range(tenths)
            ]
            # What each says of the tenth that it has not seen, in squares more than the mean has.
            more = sum(one @ self.products[at] @ one - 2 * one @ sums[at] for at, one in enumerate(others))
            if more < 0 or not tenths:
                break
        else:
            whole, others = 0 * whole, [0 * one for one in others]
        rows = np.diagonal(self.products, axis1=1, axis2=2)
        totals = np.bincount(self.tenth, weights=y, minlength=GROUPS)
        every = np.arange(GROUPS)
        return (
            self._anchored(whole, rows, totals, every >= 0),
            tuple(self._anchored(one, rows, totals, every != at) for at, one in enumerate(others)),
        )

    def _sums(self, y: Any) -> Any:
        np = load("numpy", extra=_EXTRA)
        ends = [*self.starts[1:], len(self.cells)]
        found = []
        for start, end, at in zip(self.starts, ends, self.places, strict=True):
            size = end - start
            both = np.bincount(self.tenth * size + at, weights=y, minlength=GROUPS * size)
            found.append(both.reshape(GROUPS, size))
        return np.concatenate(found, axis=1)

    def _anchored(self, terms: Any, rows: Any, totals: Any, tenths: Any) -> Terms:
        """Few digits, and before them what the rows' mean leaves: their own estimate is exactly that mean."""
        np = load("numpy", extra=_EXTRA)
        short = np.array([float(f"{one:.{_DIGITS}g}") for one in terms.tolist()])
        n = self.rows[tenths].sum()
        first = (totals[tenths].sum() - rows[tenths].sum(axis=0) @ short) / n
        return (float(first), *short.tolist())

    def missed(self, y: Any, replicas: Sequence[Terms]) -> Any:
        """By how much every row differs from what is said of it without its tenth."""
        np = load("numpy", extra=_EXTRA)
        table = np.asarray(replicas)
        said = table[self.tenth, 0]
        for start, at in zip(self.starts, self.places, strict=True):
            said = said + table[self.tenth, 1 + start + at]
        return y - said
