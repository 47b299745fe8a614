"""How often each rule promotes a challenger that is no better, and one that is, beside the usual rules.

Every world draws one challenger and one champion, both calibrated, that see the same truth through noise of their own,
and all rules judge the same rows of it: once on a holdout, and daily on thirty times the rows of a day. What repeats
itself daily looks at everything that has come so far, but for MLflow's rule, which looks at the rows of the day, as an
evaluation of a scored batch does.

    python -m dev.bench.promotion [--worlds 1000] [--rows 2000] [--day 500] [--looks 30]
"""

from __future__ import annotations

import argparse
import logging
import math
import time
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np  # noqa: TID253 - the whole simulation is arrays
from scipy.stats import rankdata  # noqa: TID253 - so are its ranks

from airflow_dataml.core.evaluation import PromotionPolicy, compare, verdict_of
from airflow_dataml.core.sequential import Evidence, confidence_sequence
from airflow_dataml.core.statistics import mean_interval

if TYPE_CHECKING:
    from collections.abc import Iterator

# Noise of the champion, and of the challenger in each kind of world.
CHAMPION = 0.7
CHALLENGERS = {"equal": 0.7, "slightly worse": 0.735, "better": 0.665, "much better": 0.6}
MLFLOW_CHANGE = 0.005
LEVEL = 0.95
BLOCK = 50
SAME = 10


@dataclass(frozen=True)
class Rows:
    """Rows of some worlds, ``[worlds, rows]``."""

    labels: Any
    challenger: Any
    champion: Any

    def auc(self, scores: Any) -> Any:
        """Area under the curve of every world."""
        truth = self.labels > 0
        positive = truth.sum(axis=1)
        ranks = (rankdata(scores, axis=1) * truth).sum(axis=1)
        return (ranks - positive * (positive + 1) / 2) / (positive * (truth.shape[1] - positive))

    def differences(self) -> Any:
        """Log loss of the challenger less that of the champion, of every row."""
        losses = [
            -np.where(self.labels > 0, np.log(scores), np.log1p(-scores))
            for scores in (self.challenger, self.champion)
        ]
        return losses[0] - losses[1]


def draw_rows(draw: np.random.Generator, worlds: int, rows: int, noise: float) -> Rows:
    """Draw labels and what two models say."""
    signal = draw.standard_normal((worlds, rows))
    labels = draw.random((worlds, rows)) < 1 / (1 + np.exp(-2 * signal))
    sides = []
    for own in (noise, CHAMPION):
        seen = (signal + own * draw.standard_normal((worlds, rows))) / (1 + own**2)
        # The logit of a mean over what the noise hides is drawn to zero by about this much.
        logit = 2 * seen / math.sqrt(1 + math.pi / 8 * 4 * own**2 / (1 + own**2))
        sides.append(np.clip(1 / (1 + np.exp(-logit)), 1e-7, 1 - 1e-7))
    return Rows(labels.astype(float), sides[0], sides[1])


def mlflow_promotes(challenger: Any, champion: Any) -> list[bool]:
    """What MLflow itself says to two areas under the curve."""
    from mlflow import validate_evaluation_results
    from mlflow.models import MetricThreshold
    from mlflow.models.evaluation import EvaluationResult
    from mlflow.models.evaluation.validation import ModelValidationFailedException

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    thresholds: Any = {"roc_auc": MetricThreshold(min_absolute_change=MLFLOW_CHANGE, greater_is_better=True)}  # type: ignore[no-untyped-call]  # theirs
    found = []
    for new, old in zip(challenger, champion, strict=True):
        sides = [
            EvaluationResult(metrics={"roc_auc": float(auc)}, artifacts={})  # type: ignore[no-untyped-call]
            for auc in (new, old)
        ]
        try:
            validate_evaluation_results(thresholds, *sides)
            found.append(True)
        except ModelValidationFailedException:
            found.append(False)
    return found


def one_look(rows: Rows) -> dict[str, Any]:
    """What each rule says on one holdout."""
    new, old = rows.auc(rows.challenger), rows.auc(rows.champion)
    sums = [Evidence.of(found) for found in rows.differences()]
    ours = [mean_interval(one.n, one.total, one.squares, level=LEVEL).high < 0 for one in sums]
    return {
        "naive >": new > old,
        "MLflow MetricThreshold": np.array(mlflow_promotes(new, old)),
        "ours": np.array(ours),
    }


def agreement(rows: Rows) -> int:
    """In how many worlds the paired bootstrap of an evaluation promotes as the three sums do."""
    policy, same = PromotionPolicy(confidence=LEVEL, min_rows=2), 0
    for world, promoted in enumerate(one_look(rows)["ours"]):
        comparison = compare(
            metric="log_loss",
            labels=rows.labels[world],
            challenger=("challenger", rows.challenger[world]),
            opponent=("champion", rows.champion[world]),
            policy=policy,
        )
        same += (verdict_of(comparison.to_dict(), policy)[0] == "pass") == promoted
    return same


def many_looks(draw: np.random.Generator, worlds: int, day: int, looks: int, noise: float) -> dict[str, Any]:
    """Whether each rule ever promotes, in daily looks."""
    sums, squares, mlflow = [], [], np.zeros(worlds, dtype=bool)
    for _ in range(looks):
        rows = draw_rows(draw, worlds, day, noise)
        found = rows.differences()
        sums.append(found.sum(axis=1))
        squares.append((found**2).sum(axis=1))
        # The rule that ``mlflow_promotes`` asks MLflow for; its messages cost too much thirty times a world.
        mlflow |= rows.auc(rows.challenger) - rows.auc(rows.champion) >= MLFLOW_CHANGE
    totals, both = np.cumsum(sums, axis=0).T, np.cumsum(squares, axis=0).T
    n = day * np.arange(1, looks + 1)
    mean = totals / n
    half = NormalDist().inv_cdf((1 + LEVEL) / 2) * np.sqrt((both - n * mean**2) / (n - 1) / n)
    ours = [
        any(
            confidence_sequence(
                Evidence(int(rows), float(total), float(square)), error=1 - LEVEL, horizon=day * looks / 2
            ).high
            < 0
            for rows, total, square in zip(n, totals[world], both[world], strict=True)
        )
        for world in range(worlds)
    ]
    return {
        "naive >, daily": (mean < 0).any(axis=1),
        "MLflow MetricThreshold, daily": mlflow,
        "one-look interval, daily": (mean + half < 0).any(axis=1),
        "ours, daily": np.array(ours),
    }


def blocks(worlds: int) -> Iterator[int]:
    """Split worlds, so that memory stays small."""
    while worlds > 0:
        yield min(BLOCK, worlds)
        worlds -= BLOCK


def simulate(worlds: int, rows: int, day: int, looks: int) -> tuple[dict[str, dict[str, float]], int]:
    """The share of worlds each rule promotes in, by kind of challenger; and where the bootstrap agreed."""
    draw, shares, same = np.random.default_rng(0), {}, 0
    for kind, noise in CHALLENGERS.items():
        hits: dict[str, int] = {}
        for size in blocks(worlds):
            promoted = one_look(draw_rows(draw, size, rows, noise))
            promoted |= many_looks(draw, size, day, looks, noise)
            hits = {rule: hits.get(rule, 0) + int(found.sum()) for rule, found in promoted.items()}
        shares[kind] = {rule: count / worlds for rule, count in hits.items()}
        same += agreement(draw_rows(draw, SAME, rows, noise))
    return shares, same


def report(worlds: int, rows: int, day: int, looks: int) -> None:
    """Simulate and print."""
    began = time.monotonic()
    shares, same = simulate(worlds, rows, day, looks)
    measured = draw_rows(np.random.default_rng(1), 200, rows, CHAMPION)
    champion = float(measured.auc(measured.champion).mean())
    print(f"{worlds:,} worlds of each kind; {rows:,} rows once, and {looks} daily looks at {day:,} rows each")
    print(f"{'share of worlds with a promotion':34}" + "".join(f"{kind:>18}" for kind in CHALLENGERS))
    gains = []
    for noise in CHALLENGERS.values():
        found = draw_rows(np.random.default_rng(1), 400, rows, noise)
        gains.append(float((found.auc(found.challenger) - found.auc(found.champion)).mean()))
    print(f"{f'AUC against {champion:.3f}':34}" + "".join(f"{gain:+18.4f}" for gain in gains))
    for rule in shares["equal"]:
        print(f"{rule:34}" + "".join(f"{shares[kind][rule]:18.3f}" for kind in CHALLENGERS))
    asked = SAME * len(CHALLENGERS)
    print(f"the paired bootstrap of an evaluation agrees with the sums in {same} of {asked} worlds")
    print(f"{time.monotonic() - began:.0f} s")


def main() -> None:
    """Read the arguments and simulate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--day", type=int, default=500)
    parser.add_argument("--looks", type=int, default=30)
    options = parser.parse_args()
    report(options.worlds, options.rows, options.day, options.looks)


if __name__ == "__main__":
    main()
