"""Looking again and again: evidence that adds up, and intervals that stay true however often one looks."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from airflow_dataml.core.extras import load
from airflow_dataml.core.statistics import Interval

if TYPE_CHECKING:
    from collections.abc import Mapping

_EXTRA = "monitoring"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Sums over rows of one number each; of two sets of rows they add up to those of both.

    >>> Evidence.of([1.0, 3.0]) + Evidence.of([2.0])
    Evidence(n=3, total=6.0, squares=14.0)
    """

    n: int = 0
    total: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: Any) -> Self:
        """Sum up an array."""
        np = load("numpy", extra=_EXTRA)
        values = np.asarray(values, dtype=float)
        return cls(len(values), float(values.sum()), float((values * values).sum()))

    def __add__(self, other: Evidence) -> Evidence:
        return Evidence(self.n + other.n, self.total + other.total, self.squares + other.squares)

    @property
    def mean(self) -> float:
        """The mean; 0 of no rows."""
        return self.total / self.n if self.n else 0.0

    @property
    def deviation(self) -> float:
        """The standard deviation of one row."""
        return math.sqrt(max(self.squares - self.n * self.mean**2, 0.0) / max(self.n - 1, 1))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`."""
        return cls(int(data["n"]), float(data["total"]), float(data["squares"]))


def confidence_sequence(evidence: Evidence, *, error: float, horizon: float) -> Interval:
    """The mean with an interval whose every end may be looked at after any number of rows, any number of times.

    Asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit
    theory and asymptotic confidence sequences", Annals of Statistics 52 (2024) 2613-2640, theorem 2.2, one end at a
    time: with ``t`` rows, standard deviation ``s`` and a fixed ``r`` each end is
    ``s * sqrt(2 * (t * r**2 + 1) / (t * r)**2 * log(1 + sqrt(t * r**2 + 1) / (2 * error)))`` away. It is where the
    martingale ``2 / G * exp(x**2 / 2) * Phi(x)``, a half-normal mixture with ``G = sqrt(t * r**2 + 1)`` and
    ``x = S * r / G`` of the sum ``S`` of standardised rows, has surely passed ``1 / error``, which by Ville's
    inequality it ever does with at most ``error``. Like the central limit theorem it wants a first look with some
    hundred rows.

    :param error: probability that one end, the upper say, is ever on the wrong side of the mean.
    :param horizon: rows at which the interval is to be narrowest. Choose it before looking, and keep it.

    >>> found = confidence_sequence(Evidence(1000, 0.0, 1000.0), error=0.05, horizon=1000)
    >>> round(found.high, 4)
    0.0879
    >>> found.level
    0.9
    """
    n, level = evidence.n, 1 - 2 * error
    if n < 2:
        return Interval(evidence.mean, -math.inf, math.inf, level, n)
    rho_squared = _rho_squared(2 * error, horizon)
    growth = n * rho_squared + 1
    bound = math.log(1 + math.sqrt(growth) / (2 * error))
    half = evidence.deviation * math.sqrt(2 * growth / (n * n * rho_squared) * bound)
    return Interval(evidence.mean, evidence.mean - half, evidence.mean + half, level, n)


def _rho_squared(error: float, horizon: float) -> float:
    """The square of ``r`` that makes the interval about narrowest at ``horizon``, as that paper advises."""
    return (-2 * math.log(error) + math.log(-2 * math.log(error) + 1)) / max(horizon, 1.0)


def error_at_look(error: float, look: int) -> float:
    """The part of an error probability that one look may spend, so that all looks ever spend no more than all of it.

    ``error / (k * (k + 1))`` adds up to ``error`` over all ``k``. For what cannot be added up over looks.

    :param look: counted from 1.

    >>> round(sum(error_at_look(0.05, look) for look in range(1, 10_000)), 4)
    0.05
    """
    return error / (look * (look + 1))
