"""Forecasts of short series and how wrong they were; numpy and scipy inside.

The level is a running median; what a place in the season (or a trend) usually adds to it is the median of the
deviations seen there. Every past value is foretold from those before it alone, so that the errors are those a
forecast really makes. How long the median's memory is, and on which scale errors are alike (Box and Cox, J. Royal
Statistical Society B 26, 1964), is chosen by the evidence of what was seen.
"""

from __future__ import annotations

import math
from bisect import insort
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from airflow_dataml.core.extras import load

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

Season = Literal["none", "weekly", "auto"] | int

_EXTRA = "monitoring"
# A forecast needs this many values before it, and its season this many deviations.
_WARM, _SEEN = 3, 2
# Fewer errors than this say nothing about their spread.
_MIN_ERRORS = 5
# How long the level's memory may be, in batches or seasons.
_WINDOWS, _SEASONS = (1, 7, 28), (1, 4)
# Tail weights and scales (around the median error) that Student's t is averaged over.
_FREEDOMS = (1.5, 2.0, 3.0, 4.0, 6.0, 10.0, 30.0, 100.0)
_SCALES = 31
# Variance of a median over that of a mean, of normal values.
_MEDIAN = math.pi / 2


@dataclass(frozen=True, slots=True)
class Scale:
    """A scale on which errors are looked for, with the logarithm of its slope."""

    name: str
    to: Callable[[float], float]
    back: Callable[[float], float]
    log_slope: Callable[[float], float]


LINEAR = Scale("", float, float, lambda _: 0.0)
_ROOT = Scale(
    "square root",
    lambda x: math.sqrt(x + 0.375),
    lambda y: max(y, 0.0) ** 2 - 0.375,
    lambda x: -math.log(2 * math.sqrt(x + 0.375)),
)
# The cube root makes waiting times about normal (Wilson and Hilferty, PNAS 17, 1931), the square root counts.
_CUBE = Scale(
    "cube root", math.cbrt, lambda y: max(y, 0.0) ** 3, lambda x: -math.log(3) - 2 / 3 * math.log(x)
)
_LOG = Scale("logarithm", math.log, lambda y: math.exp(min(y, 700.0)), lambda x: -math.log(x))


@dataclass(frozen=True, slots=True)
class Fit:
    """A model's errors, how wide each is by its forecast's own uncertainty, and the next forecast with its own."""

    errors: tuple[float, ...]
    factors: tuple[float, ...]
    center: float
    factor: float
    scale: Scale
    model: str

    @property
    def even(self) -> list[float]:
        """The errors as if every forecast had been as uncertain as one that is known."""
        return [error / factor for error, factor in zip(self.errors, self.factors, strict=True)]


def fits_of(values: Sequence[float], places: Sequence[Hashable], season: Season) -> list[Fit]:
    """Return every model of a series that has errors to learn from.

    :param places: place in the season of every value, and of the next one.
    """
    lowest, kinds = min(values), len(set(places))
    scales = [LINEAR, *([_ROOT] if lowest >= 0 else []), *([_CUBE, _LOG] if lowest > 0 else [])]
    memories = _WINDOWS if season == "none" else tuple(kinds * seasons for seasons in _SEASONS)
    named = "" if season == "none" else f", season {season}"
    found = [_fit(values, places, scale, memory, named) for scale in scales for memory in memories]
    return [fit for fit in found if fit is not None]


def _fit(
    values: Sequence[float], places: Sequence[Hashable], scale: Scale, memory: int, named: str
) -> Fit | None:
    """Forecast every value from those before it."""
    series = [scale.to(value) for value in values]
    deviations: dict[Hashable, list[float]] = {}
    errors, factors = [], []
    for index in range(_WARM, len(series) + 1):
        before = series[max(0, index - memory) : index]
        level, seen = _middle(sorted(before)), deviations.setdefault(places[index], [])
        if len(seen) < _SEEN:
            center = factor = math.nan
        else:
            center = level + _middle(seen)
            factor = math.sqrt(1 + _MEDIAN / len(before) + _MEDIAN / len(seen))
        if index == len(series):
            break
        if seen[_SEEN - 1 :]:
            errors.append(series[index] - center)
            factors.append(factor)
        insort(seen, series[index] - level)
    if len(errors) < _MIN_ERRORS or math.isnan(center):
        return None
    model = f"running median of {memory}{named}" + (f", {scale.name} scale" if scale.name else "")
    return Fit(tuple(errors), tuple(factors), center, factor, scale, model)


def _middle(ordered: Sequence[float]) -> float:
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def likeliest(fits: Sequence[Fit], values: Sequence[float]) -> Fit:
    """Return the model that makes what was seen most likely, on the newest values that all of them foretold."""
    newest = min(len(fit.errors) for fit in fits)

    def evidence(fit: Fit) -> float:
        slopes = sum(fit.scale.log_slope(value) for value in values[-newest:])
        widths = sum(math.log(factor) for factor in fit.factors[-newest:])
        return _student(fit.even[-newest:])[0] + slopes - widths

    return max(fits, key=evidence)


def _student(errors: Sequence[float]) -> tuple[float, Any, Any, Any]:
    """Evidence of Student's t, and the weight of every tail and scale it may have."""
    np, special = load("numpy", extra=_EXTRA), load("scipy.special", extra=_EXTRA)

    sizes = np.abs(np.asarray(errors))
    around = float(np.median(sizes)) / 0.6745 or float(np.mean(sizes)) or 1e-300
    freedom = np.asarray(_FREEDOMS)[:, None]
    # The more errors, the less their scale can be another.
    doubt = 0.6 + 5 / math.sqrt(len(sizes))
    scale = around * np.exp(np.linspace(-doubt, doubt, _SCALES))[None, :]
    peak = special.gammaln((freedom + 1) / 2) - special.gammaln(freedom / 2) - np.log(freedom * math.pi) / 2
    spread = np.log1p((sizes / scale[..., None]) ** 2 / freedom[..., None]).sum(axis=-1)
    logs = len(sizes) * (peak - np.log(scale)) - (freedom + 1) / 2 * spread
    highest = float(logs.max())
    weights = np.exp(logs - highest)
    return highest + math.log(float(weights.mean())), weights / weights.sum(), freedom, scale


def exceeded(errors: Sequence[float], rate: float) -> float:
    """Return the size that the next error exceeds with this probability.

    Errors are Student's t around the forecast, scale and tail weight unknown and integrated out on a grid
    (Geweke, J. Applied Econometrics 8, 1993).

    >>> round(exceeded([1.0, -1.1, 0.4, 0.2, -0.3, 0.9, -0.6, 0.1], 0.05), 1)
    1.9
    """
    special = load("scipy.special", extra=_EXTRA)

    _, weights, freedom, scale = _student(errors)
    low, high = 0.0, float(scale.max())
    while float((weights * special.stdtr(freedom, -high / scale)).sum()) * 2 > rate:
        high *= 2
    for _ in range(60):
        half = (low + high) / 2
        beyond = float((weights * special.stdtr(freedom, -half / scale)).sum()) * 2
        low, high = (half, high) if beyond > rate else (low, half)
    return high
