"""False alarms over time and what finds a shift: quiet days, run lengths, and streams with known drift points.

Of quiet days all rules see the same: 30 normal columns of 20,000 rows as the reference and of 1,000 rows each day, and
after 60 days one column moves. A rule has found it on the first day that it names that column. Every alarm of ours
begins anew, so that none is counted twice. Streams are read beside river's detectors with their defaults.

    python -m dev.bench.detection [--worlds 40] [--streams 100] [--holdouts 200] [--slow 1]
"""

from __future__ import annotations

import argparse
import math
import time
from collections import defaultdict
from itertools import chain
from typing import Any

import numpy as np  # noqa: TID253 - the whole simulation is arrays
from scipy.special import kolmogorov  # noqa: TID253 - of many columns at once

from airflow_dataml.core.alarm_budget import Detector, count_evidence
from airflow_dataml.core.statistics import benjamini_hochberg
from dev.bench.detection_streams import HOLDOUT, SHAPES, false_alarms_held_out, grown, shaped

COLUMNS, REFERENCE, ROWS = 30, 20_000, 1000
QUIET, AFTER, SOON = 60, 30, 3
BINS = 20
SHIFTS = (0.1, 0.2, 0.5)
# Windows between two false alarms, and the PSI that is borne (.0025 is a shift of .05 standard deviations).
OURS = ((600, 0.0), (600, 0.0025), (90, 0.0))
BUDGET, FEATURES = 60, 4
_ZIPF = 1 / np.arange(1, 22) ** 2
LAWS = {
    "20 equal bins": np.full(20, 0.05),
    "21 categories": _ZIPF / _ZIPF.sum(),
    "nulls": np.array([0.995, 0.005]),
}
SIZES = ((1000, 1000), (10_000, 1000), (100_000, 1000), (100_000, 100), (500, 20_000))


def counted(edges: Any, rows: Any) -> Any:
    """Counts in the bins of the reference, ``[columns, bins]``."""
    return np.stack(
        [np.bincount(np.searchsorted(e, r), minlength=BINS) for e, r in zip(edges, rows, strict=True)]
    )


def ks_p_values(reference: Any, rows: Any) -> Any:
    """Kolmogorov and Smirnov's test of each column; the reference is sorted."""
    found, m = [], rows.shape[1]
    for before, now in zip(reference, np.sort(rows, axis=1), strict=True):
        n = len(before)
        low, high = np.searchsorted(before, now, "left") / n, np.searchsorted(before, now, "right") / n
        steps = np.arange(m + 1) / m
        distance = max(np.abs(high - steps[1:]).max(), np.abs(low - steps[:-1]).max())
        found.append(kolmogorov(math.sqrt(n * m / (n + m)) * distance))
    return np.array(found)


def js_distances(shares: Any, counts: Any) -> Any:
    """Jensen and Shannon's distance of each column from the reference."""
    now = counts / counts.sum(axis=-1, keepdims=True)
    middle = (shares + now) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        both = [np.nan_to_num(side * np.log2(side / middle)).sum(axis=-1) for side in (shares, now)]
    return np.sqrt(np.maximum(sum(both) / 2, 0))


class World:
    """A reference and the rules that look at each day against it."""

    def __init__(self, seed: int) -> None:
        self.draw = np.random.default_rng(seed)
        rows = self.draw.standard_normal((COLUMNS, REFERENCE))
        self.edges = np.quantile(rows, np.arange(1, BINS) / BINS, axis=1).T
        self.counts = counted(self.edges, rows)
        chunks = [counted(self.edges, part) for part in np.split(rows, REFERENCE // ROWS, axis=1)]
        distances = np.array([js_distances(self.counts / REFERENCE, chunk) for chunk in chunks])
        self.limits = distances.mean(axis=0) + 3 * distances.std(axis=0)
        self.sorted = np.sort(rows, axis=1)
        self.detectors = {f"ours, budget {b}, borne {t:g}": (Detector(budget=b), t) for b, t in OURS}

    def day(self, moved: float) -> dict[str, set[int]]:
        """The columns each rule names on a day whose first column has moved."""
        rows = self.draw.standard_normal((COLUMNS, ROWS))
        rows[0] += moved
        p_values, counts = ks_p_values(self.sorted, rows), counted(self.edges, rows)
        found = {
            "KS p < .05, any column": set(np.flatnonzero(p_values < 0.05).tolist()),
            "three sigma of JS": set(
                np.flatnonzero(js_distances(self.counts / REFERENCE, counts) > self.limits).tolist()
            ),
            "KS, Benjamini-Hochberg .01": {
                i for i, bad in enumerate(benjamini_hochberg(p_values.tolist(), level=0.01)) if bad
            },
        }
        for name, (before, tolerance) in self.detectors.items():
            factors = {
                str(column): count_evidence(
                    self.counts[column], counts[column], tolerance=tolerance, ordered=True
                )
                for column in range(COLUMNS)
            }
            now = before.step(factors)
            self.detectors[name] = (now, tolerance)
            found[name] = {int(suspect) for suspect in now.suspects}
        return found


def quiet_days(worlds: int) -> None:
    """Print alarm days while quiet, and the days until a shift is found."""
    alarms: dict[str, int] = defaultdict(int)
    delays: dict[float, dict[str, list[float]]] = {moved: defaultdict(list) for moved in SHIFTS}
    for seed in range(worlds):
        world = World(seed)
        for _ in range(QUIET):
            for rule, named in world.day(0.0).items():
                alarms[rule] += bool(named)
        kept = dict(world.detectors)
        for moved in SHIFTS:
            world.detectors = dict(kept)
            for rule, delay in until_found(world, moved).items():
                delays[moved][rule].append(delay)
    print(f"{worlds} models of {COLUMNS} columns; alarm days of {QUIET} quiet ones; then one column moves:")
    print("median day it is named, and the share of models where it is within 3 days")
    print(f"{'':34}{'alarm days':>11}" + "".join(f"{f'{moved:g} sd':>17}" for moved in SHIFTS))
    for rule, count in alarms.items():
        line = f"{rule:34}{count / worlds:11.2f}"
        for moved in SHIFTS:
            days = delays[moved][rule]
            middle = float(np.median(days))
            line += f"{f'{middle:g}':>10}{np.mean(np.array(days) <= SOON):7.0%}"
        print(line)


def until_found(world: World, moved: float) -> dict[str, float]:
    """The day on which each rule names the first column."""
    found: dict[str, float] = {}
    for day in range(1, AFTER + 1):
        for rule, named in world.day(moved).items():
            if 0 in named:
                found.setdefault(rule, day)
        if len(found) == len(OURS) + 3:
            break
    return {rule: found.get(rule, math.inf) for rule in world.day(0.0)}


def tilted(shares: Any, psi: float) -> Any:
    """Shares at a PSI from others."""
    low, high, along = 0.0, 20.0, np.linspace(-1, 1, len(shares))
    for _ in range(60):
        middle = (low + high) / 2
        other = shares * np.exp(middle * along)
        other /= other.sum()
        near = ((other - shares) * np.log(other / shares)).sum() < psi
        low, high = (middle, high) if near else (low, middle)
    return other


def run_lengths(models: int) -> None:
    """Print false alarms in as many windows as the budget: at most 1 is promised."""
    print(
        f"\nfalse alarms in {BUDGET} windows of a model of {FEATURES} features with a budget of {BUDGET} windows;"
    )
    print(f"at most 1 is promised; {models} models, each with a reference of its own")
    print(f"{'rows of reference / window':34}" + "".join(f"{f'{n:,} / {m:,}':>18}" for n, m in SIZES))
    for name, shares in LAWS.items():
        for borne, moved in ((0.0, 0.0), (0.01, 0.01)):
            draw = np.random.default_rng(0)
            rates = [
                sum(
                    alarms_of(draw, shares, tilted(shares, moved) if moved else shares, n, m, borne)
                    for _ in range(models)
                )
                / models
                for n, m in SIZES
            ]
            label = f"{name}, {f'PSI {borne:g}, borne' if borne else 'nothing borne'}"
            print(f"{label:34}" + "".join(f"{rate:18.2f}" for rate in rates))


def alarms_of(draw: np.random.Generator, before: Any, now: Any, n: int, m: int, borne: float) -> int:
    """How often one model alarms while nothing moves by more than is borne."""
    references, detector, alarms = draw.multinomial(n, before, size=FEATURES), Detector(budget=BUDGET), 0
    for _ in range(BUDGET):
        windows = draw.multinomial(m, now, size=FEATURES)
        detector = detector.step(
            {
                str(i): count_evidence(
                    references[i], windows[i], tolerance=borne, ordered=len(before) == BINS
                )
                for i in range(FEATURES)
            }
        )
        alarms += detector.alarm
    return alarms


def on_streams(streams: int, slow: int) -> None:
    """Print every detector on errors that grow, and on drifts of each shape."""
    heading = f"{'':34}{'false/10k':>11}{'delay':>9}{'missed':>8}"
    grows = ((f"errors 10 % -> {rate:.0%}", grown(rate, streams=streams, slow=slow)) for rate in (0.15, 0.12))
    drifts = (
        (f"{kind}, {shape}", shaped(kind, shape, streams=max(streams // 5, 1), slow=slow))
        for kind in ("errors", "values")
        for shape in SHAPES
    )
    for title, found in chain(grows, drifts):
        print(f"\n{title}\n{heading}")
        for name, one in found.items():
            print(f"{name:34}{one}")


def holdouts(models: int) -> None:
    """Print what ours says of errors where a holdout tells the baseline: every model draws its own."""
    print(
        f"\nerrors of {models} models, each with a holdout of its own; at most .1 false alarms in 10,000 rows"
    )
    print(f"{'':34}{'false/10k':>11}{'delay':>9}{'missed':>8}")
    for said, what in (
        (f"10 % -> 15 %, {HOLDOUT:,} held out", {}),
        ("the same after 10,000 rows at 5 %", {"before": 0.05}),
        ("10 % -> 15 %, 2,000 held out", {"held": 2000}),
        (f"2 % -> 4 %, {HOLDOUT:,} held out", {"rate": 0.02, "after": 0.04}),
    ):
        print(f"{said:34}{false_alarms_held_out(models=models, **what)}", flush=True)


def main() -> None:
    """Read the arguments and simulate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=40)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--holdouts", type=int, default=200, help="models that draw a holdout of their own")
    parser.add_argument("--slow", type=int, default=1, help="streams of each table that KSWIN reads")
    options = parser.parse_args()
    began = time.monotonic()
    if options.worlds:
        quiet_days(options.worlds)
        run_lengths(options.worlds // 2)
    holdouts(options.holdouts)
    if options.streams:
        on_streams(options.streams, options.slow)
    print(f"\n{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
