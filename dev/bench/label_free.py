"""How near performance is told without labels, and at what cost: ours beside NannyML's CBPE and DLE.

Both see the same rows in the same chunks. Area under the curve: the two datasets of classification that NannyML's package
brings, and a simulated world whose scores shift, so that the model grows better and worse in turn while a score goes on
meaning what it meant. Root mean squared error: the dataset of regression it brings, where both see all the features.
Costs are CPU seconds of fitting and of all chunks, from arrays in memory and without imports; ours counts the histogram
of every chunk and all metrics with their intervals, NannyML is asked for the one metric.

Printed are mean absolute errors over chunks: of saying what was measured on the reference, of both sides, by how much ours
is more with its standard error over chunks; and how many chunks' measured value lay in our 95% interval.

NannyML gets an environment of its own in the cache folder (``XDG_CACHE_HOME``), made at the first run.

    python -m dev.bench.label_free [--chunk 5000] [--repeat 3]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np  # noqa: TID253 - the whole bench is arrays

from airflow_dataml.core.estimation import Calibration, Estimated, estimate
from airflow_dataml.core.extras import load
from airflow_dataml.core.loss_terms import fit_losses
from airflow_dataml.core.statistics import Interval, roc_auc
from airflow_dataml.steps.estimated_counts import SCORE

PEER = "nannyml==0.13.1"
# It imports statsmodels and does not say so.
PACKAGES = (PEER, "statsmodels")
SCRIPT = Path(__file__).with_name("label_free_peer.py")
COST, LEVEL = 0.2, 0.95
PRICES = "car price"
METRICS: dict[Estimated, str] = {"binary": "roc_auc", "regression": "root_mean_squared_error"}


@dataclass(frozen=True)
class Found:
    """What one side says of every chunk, and its CPU seconds."""

    values: Any
    cpu_s: float

    def misses(self, truth: Any) -> Any:
        """Absolute error of every chunk."""
        return np.abs(np.asarray(self.values) - truth)


def peer() -> Path:
    """The interpreter that has NannyML."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dataml-bench"
    folder = cache / PEER.replace("==", "-")
    python = folder / "bin" / "python"
    ready = folder / "ready"
    if not ready.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        ready.touch()
    return python


def ask(python: Path, *words: str) -> str:
    """Run the peer's script without its usage reports, on one thread as ours."""
    quiet = {"NML_DISABLE_USAGE_LOGGING": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(python), str(SCRIPT), *words],
        check=True,
        env=os.environ | quiet,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout


def simulate(path: Path) -> None:
    """Write a world of 20 chunks whose scores shift and stretch, overconfident as many a model is."""
    draw = np.random.default_rng(0)

    def rows(count: int, shift: float, stretch: float) -> tuple[Any, Any]:
        logit = 1.2 * (stretch * draw.standard_normal(count) + shift)
        labels = draw.random(count) < 1 / (1 + np.exp(-logit))
        return labels.astype(float), 1 / (1 + np.exp(-1.8 * logit - 0.4))

    reference = rows(50_000, 0.0, 1.0)
    chunks = [rows(5000, 1.2 * np.sin(i / 3), 1 + 0.5 * np.cos(i / 2)) for i in range(20)]
    analysis = [np.concatenate(side) for side in zip(*chunks, strict=True)]
    named = {"reference": reference, "analysis": analysis}
    arrays: dict[str, Any] = {
        f"{side}_{what}": values
        for side, both in named.items()
        for what, values in zip(("labels", "scores"), both, strict=True)
    }
    np.savez(path, **arrays)


def chunks_of(values: Any, chunk: int) -> list[Any]:
    """Whole chunks, the last with what is left, as NannyML cuts them."""
    whole = max(len(values) // chunk, 1)
    cuts = np.arange(1, whole + (len(values) > whole * chunk)) * chunk
    return list(np.split(values, cuts))


def task_of(path: Path) -> Estimated:
    """What the model of a dataset does."""
    return "regression" if path.stem == PRICES else "binary"


def ours(held: Any, chunk: int, task: Estimated) -> tuple[Found, Any]:
    """Fit and estimate; and whether each interval held what was measured."""
    # Its first import is no part of any estimate.
    load("scipy.stats", extra="monitoring")
    began = time.process_time()
    intervals = by_features(held, chunk) if task == "regression" else by_scores(held, chunk, task)
    spent = time.process_time() - began
    truth = measured(held, chunk, task)
    inside = [one.low <= value <= one.high for one, value in zip(intervals, truth, strict=True)]
    return Found([one.estimate for one in intervals], spent), np.array(inside)


def by_scores(held: Any, chunk: int, task: Estimated) -> list[Interval]:
    """Every chunk from the histogram of its scores."""
    calibration = Calibration.fit(task=task, labels=held["reference_labels"], scores=held["reference_scores"])
    if calibration is None:
        msg = "the reference has no row"
        raise ValueError(msg)
    intervals = []
    for scores in chunks_of(held["analysis_scores"], chunk):
        counts = np.bincount(np.searchsorted(calibration.edges, scores, side="right"))
        cells = [(int(cell), int(counts[cell])) for cell in np.flatnonzero(counts)]
        intervals.append(estimate(cells, calibration, level=LEVEL)[METRICS[task]])
    return intervals


def by_features(held: Any, chunk: int) -> list[Interval]:
    """Every chunk from the histograms of its features and of the pairs of them that matter."""
    losses = (held["reference_labels"] - held["reference_scores"]) ** 2
    model = fit_losses(losses=losses, columns=columns_of(held, "reference"))
    if model is None:
        msg = "the reference has too few rows"
        raise ValueError(msg)
    columns = {name: chunks_of(values, chunk) for name, values in columns_of(held, "analysis").items()}
    chunks = [dict(zip(columns, one, strict=True)) for one in zip(*columns.values(), strict=True)]
    return [model.estimate(model.counts(one), level=LEVEL)[METRICS["regression"]] for one in chunks]


def columns_of(held: Any, side: str) -> dict[str, Any]:
    """The features of one side, texts as objects, and the scores."""
    start = f"{side}_feature_"
    found = {name.removeprefix(start): values for name, values in held.items() if name.startswith(start)}
    texts = {name: values.astype(object) for name, values in found.items() if values.dtype.kind == "U"}
    return found | texts | {SCORE: held[f"{side}_scores"]}


def measured(held: Any, chunk: int, task: Estimated) -> Any:
    """What the labels of every chunk show."""
    sides = (chunks_of(held[f"analysis_{what}"], chunk) for what in ("labels", "scores"))
    return np.array([measure(labels, scores, task) for labels, scores in zip(*sides, strict=True)])


def measure(labels: Any, scores: Any, task: Estimated) -> float:
    """The metric of some rows."""
    if task == "regression":
        return float(np.sqrt(np.mean((labels - scores) ** 2)))
    return roc_auc(labels, scores) or 0.0


def theirs(python: Path, path: Path, chunk: int) -> Found:
    """What CBPE or DLE says."""
    verb = "estimate" if task_of(path) == "binary" else "losses"
    # LightGBM talks before.
    found = json.loads(ask(python, verb, str(path), str(chunk)).splitlines()[-1])
    return Found(found["values"], found["cpu_s"])


def compare(python: Path, path: Path, chunk: int, repeat: int) -> bool:
    """Measure one dataset and print its row; whether ours is no worse at a fifth of the cost."""
    held, task = dict(np.load(path)), task_of(path)
    truth = measured(held, chunk, task)
    peers = [theirs(python, path, chunk) for _ in range(repeat)]
    own = [ours(held, chunk, task) for _ in range(repeat)]
    costs = [median(one.cpu_s for one in side) for side in (peers, [found for found, _ in own])]
    still = np.abs(truth - measure(held["reference_labels"], held["reference_scores"], task)).mean()
    more = own[0][0].misses(truth) - peers[0].misses(truth)
    doubt = more.std(ddof=1) / np.sqrt(len(more))
    misses = [side.misses(truth).mean() for side in (peers[0], own[0][0])]
    span = f"{truth.min():.4g} to {truth.max():.4g}"
    print(f"{path.stem:14}{METRICS[task]:24}{len(truth):7}{span:>18}", end="")
    print("".join(f"{one:10.5f}" for one in (still, *misses, more.mean(), doubt)), end="")
    print(f"{own[0][1].mean():10.0%}{costs[0]:11.3f}{costs[1]:10.3f}")
    return bool(more.mean() <= doubt) and costs[1] <= COST * costs[0]


def report(chunk: int, repeat: int) -> bool:
    """Measure and print; whether ours is no worse than CBPE and DLE at a fifth of the cost on every dataset."""
    python = peer()
    heads = ("reference", "NannyML", "ours", "more", "its se", "held", "NannyML s", "ours s")
    print(f"{'':14}{'metric':24}{'chunks':>7}{'measured':>18}", end="")
    print("".join(f"{head:>{11 if head == 'NannyML s' else 10}}" for head in heads))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        ask(python, "export", place)
        simulate(folder / "simulated.npz")
        kept = {path: compare(python, path, chunk, repeat) for path in sorted(folder.glob("*.npz"))}
    return all(kept.values())


def main() -> None:
    """Read the arguments and measure; exit 1 where ours is worse or dearer than a fifth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunk", type=int, default=5000)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    kept = report(options.chunk, options.repeat)
    print(
        f"error no more than NannyML's within its standard error, at a fifth of its cost: {'yes' if kept else 'no'}"
    )
    sys.exit(not kept)


if __name__ == "__main__":
    main()
