"""Counterfactuals on arrays: a batch with a change of its data reverted, and what the model regains by it.

Values are brought back by the change that must have happened to them, where there is only one that could have:
a monotone one of numbers (another unit, an offset), the exchange of the two values of a flag, other names of the
same categories. Where a change destroyed values, as nulls and fanned-out joins do, nothing can bring them back;
those rows are left out, and the rows it did not touch stand for them. That is right as far as the change hit rows
by chance (missing at random; Little and Rubin, "Statistical Analysis with Missing Data", 2002, chapter 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.extras import load
from airflow_dataml.core.statistics import bootstrap_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_EXTRA = "monitoring"
# Part of the reference loss that a growth must be to need a cause.
_WORTH = 0.1
_GROUPS, _RESAMPLES, _DISTANCES = 512, 1000, 100
# A new scale of labels is believed from a fifth on; below, it is as well the world that moved.
_LEAST_SCALE = 1.2
_NULLS_MORE = 0.02
_RARE = 0.002
# So few rows left of a batch say nothing of it.
_LEAST_LEFT = 0.05


@dataclass(frozen=True, slots=True)
class Recovered:
    """What reverting brings back, as a share with an interval."""

    share: float
    low: float
    high: float
    before: float
    now: float
    reverted: float


def map_numbers(values: Any, reference: Any) -> Any:
    """Values with the ranks they have, on the quantiles of the reference; NaN stays.

    Inverts every increasing change of a column exactly, up to how the column is distributed by itself.

    >>> map_numbers([32.0, 50.0, 212.0], [0.0, 10.0, 100.0]).tolist()
    [0.0, 10.0, 100.0]
    """
    np = load("numpy", extra=_EXTRA)
    values, known = np.asarray(values, dtype=float), np.asarray(reference, dtype=float)
    known, here = np.sort(known[~np.isnan(known)]), ~np.isnan(values)
    if not len(known) or not here.any():
        return values.copy()
    own = np.sort(values[here])
    low, high = (np.searchsorted(own, values[here], side=side) for side in ("left", "right"))
    position = (low + high - 1) / 2 / max(len(own) - 1, 1)
    mapped = values.copy()
    mapped[here] = np.quantile(known, np.clip(position, 0.0, 1.0))
    return mapped


def swap_flags(values: Any, reference: Any) -> Any | None:
    """Values 0 and 1 exchanged, if the reference is then nearer; else ``None``.

    >>> swap_flags([1.0, 1.0, 0.0], [0.0, 0.0, 1.0]).tolist()
    [0.0, 0.0, 1.0]
    >>> swap_flags([1.0, 0.0, 0.0], [0.0, 0.0, 1.0]) is None
    True
    """
    np = load("numpy", extra=_EXTRA)
    values, mean = np.asarray(values, dtype=float), float(np.nanmean(reference))
    now = float(np.nanmean(values))
    return 1.0 - values if abs(1 - now - mean) < abs(now - mean) else None


def rescale(values: Any, reference: Any) -> Any | None:
    """Values in the unit of the reference, if another unit is what explains them; else ``None``.

    For labels, whose distribution moves with the world too: only a factor that is alike at both quartiles is taken.

    >>> rescale([0.0, 1000.0, 2000.0, 3000.0], [0.0, 1.0, 2.0, 3.0]).tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    np = load("numpy", extra=_EXTRA)
    values = np.asarray(values, dtype=float)
    own, known = (np.nanquantile(side, [0.25, 0.5, 0.75]) for side in (values, reference))
    spreads = own[2] - own[0], known[2] - known[0]
    if min(spreads) <= 0 or known[1] == 0 or own[1] / known[1] <= 0:
        return None
    factor, other = spreads[0] / spreads[1], own[1] / known[1]
    if max(factor, 1 / factor) < _LEAST_SCALE or max(factor / other, other / factor) > _LEAST_SCALE:
        return None
    return values / factor


def renamed(values: Sequence[str | None], reference: Sequence[str | None]) -> dict[str, str]:
    """New names of categories -> the names they had: those that came, for those that went.

    Equal but for case, spaces and signs first; else, where as many came as went, by how often they occur.

    >>> renamed(["aa", "aa", "Bus"], ["AA", "AA", "Bus"])
    {'aa': 'AA'}
    """
    now, before = _shares(values), _shares(reference)
    came = [v for v in now if now[v] > _RARE and before.get(v, 0.0) < 0.1 * now[v]]
    went = [v for v in before if before[v] > _RARE and now.get(v, 0.0) < 0.1 * before[v]]
    found: dict[str, str] = {}
    for new in came:
        alike = [old for old in went if _plain(old) == _plain(new) and old not in found.values()]
        if len(alike) == 1:
            found[new] = alike[0]
    left = [v for v in came if v not in found], [v for v in went if v not in found.values()]
    if len(left[0]) == len(left[1]):
        found |= dict(
            zip(
                *(sorted(s, key=lambda v: -o[v]) for s, o in zip(left, (now, before), strict=True)),
                strict=True,
            )
        )
    return found


def _shares(values: Sequence[str | None]) -> dict[str, float]:
    counts: dict[str, int] = {}
    for value in values:
        if value is not None:
            counts[value] = counts.get(value, 0) + 1
    total = sum(counts.values())
    return {value: count / total for value, count in counts.items()}


def _plain(value: str) -> str:
    return "".join(c for c in value.casefold() if c.isalnum())


def untouched(missing: Mapping[str, tuple[Any, Any]], keys: Sequence[Any]) -> tuple[Any, tuple[str, ...]]:
    """Weights of the rows a change left alone, and what the others have.

    Rows that lack a value count as much as all such rows did before; of rows with one key several times none counts.

    :param missing: column -> where it is missing now, and the share that was missing before.
    :param keys: what names each row.
    """
    np = load("numpy", extra=_EXTRA)
    weights, why = np.ones(len(keys)), []
    for name, (where, before) in missing.items():
        now = float(np.mean(where))
        if now > before + _NULLS_MORE and now < 1:
            weights = weights * np.where(where, before * (1 - now) / (now * (1 - before)), 1.0)
            why.append(f"rows without {name}")
        elif now == 1 and before < 1:
            weights = weights * 0.0
    counts: dict[Any, int] = {}
    for key in keys:
        counts[key] = counts.get(key, 0) + 1
    if len(counts) < len(keys):
        single = np.array([counts[key] == 1 for key in keys])
        weights = weights * single
        why.append("rows whose key occurs more than once")
    return weights, tuple(why)


def enough_left(weights: Any) -> bool:
    """Whether what is left of a batch says anything of it."""
    np = load("numpy", extra=_EXTRA)
    return bool(np.sum(weights) > _LEAST_LEFT * len(weights))


def grew(now: Any, *, reference: float, level: float) -> bool:
    """Whether a mean loss is surely above that of the reference.

    >>> grew([2.0, 2.1] * 50, reference=1.0, level=0.95), grew([1.0, 1.1] * 50, reference=1.05, level=0.95)
    (True, False)
    """
    return bootstrap_mean(now, level=level).low > reference


def recovered_mean(
    now: Any, reverted: Any, weights: Any, *, reference: float, level: float, seed: int = 0
) -> Recovered:
    """Share of what a mean loss has grown by that reverting takes back.

    What it has grown by is at least what reverting takes back: two changes may hide one another. Below a tenth of
    the reference nothing is worth a cause, so that small gains are small shares. A paired bootstrap of both means
    over the same groups of rows (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13); its
    percentiles carry the uncertainty of the growth itself.

    :param now: loss of each row.
    :param reverted: of the same rows with the change reverted.
    :param weights: of the rows that stand for the batch without the change.
    :param reference: mean loss where the model was well.

    >>> found = recovered_mean([2.0] * 100, [1.0] * 100, [1.0] * 100, reference=1.0, level=0.95)
    >>> found.share, found.low
    (1.0, 1.0)
    """
    np = load("numpy", extra=_EXTRA)
    now, reverted, weights = (np.asarray(side, dtype=float) for side in (now, reverted, weights))
    generator = np.random.default_rng(seed)
    groups = np.array_split(generator.permutation(len(now)), min(len(now), _GROUPS))
    kept = np.where(weights > 0, weights * reverted, 0.0)
    sums = np.array([[now[g].sum(), len(g), kept[g].sum(), weights[g].sum()] for g in groups])
    picks = generator.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), size=_RESAMPLES) @ sums

    def shares(found: Any) -> Any:
        usable = found[found[:, 3] > 0]
        means, after = usable[:, 0] / usable[:, 1], usable[:, 2] / usable[:, 3]
        gains = means - after
        least = np.maximum(np.abs(gains), _WORTH * abs(reference))
        return gains / np.maximum(np.maximum(means - reference, least), 1e-12)

    low, high = np.quantile(shares(picks), [(1 - level) / 2, (1 + level) / 2])
    whole = sums.sum(axis=0)
    return Recovered(
        float(shares(whole[None, :])[0]),
        float(low),
        float(high),
        reference,
        float(whole[0] / whole[1]),
        float(whole[2] / whole[3]),
    )


def recovered_distance(
    now: Any, reverted: Any, weights: Any, reference: Any, *, level: float, seed: int = 0
) -> Recovered | None:
    """Share of the distance of scores from the reference's that reverting takes back; ``None`` where there is none.

    The distance is Wasserstein's of order 1 (Villani, "Optimal Transport", 2009, chapter 6), less what two samples
    of one distribution of these sizes have: that of the reference from its own halves.
    """
    np, stats = load("numpy", extra=_EXTRA), load("scipy.stats", extra=_EXTRA)
    now, reverted, weights, reference = (
        np.asarray(s, dtype=float) for s in (now, reverted, weights, reference)
    )
    generator = np.random.default_rng(seed)

    def distances(rows: Any, others: Any) -> tuple[float, float]:
        w, known = weights[rows], reference[others]
        if w.sum() <= 0:
            return float("nan"), float("nan")
        return (
            float(stats.wasserstein_distance(now[rows], known)),
            float(stats.wasserstein_distance(reverted[rows], known, w, np.ones(len(known)))),
        )

    shuffled = generator.permutation(len(reference))
    half = len(reference) // 2
    noise = float(stats.wasserstein_distance(reference[shuffled[:half]], reference[shuffled[half:]]))
    far, back = distances(np.arange(len(now)), np.arange(len(reference)))
    if not far > 2 * noise:
        return None
    drawn = [
        distances(
            generator.integers(0, len(now), len(now)), generator.integers(0, len(reference), len(reference))
        )
        for _ in range(_DISTANCES)
    ]
    shares = np.array([1 - max(b - noise, 0.0) / max(f - noise, 1e-12) for f, b in drawn if f > noise])
    if not len(shares):
        return None
    low, high = np.quantile(shares, [(1 - level) / 2, (1 + level) / 2])
    share = 1 - max(back - noise, 0.0) / (far - noise)
    return Recovered(float(share), float(low), float(high), 0.0, far, back)
