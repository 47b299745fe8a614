"""Streams with known drift points, and what each detector says on the same rows.

Errors are those of a model on SEA concepts (Street and Kim, "A streaming ensemble algorithm (SEA) for large-scale
classification", KDD 2001): the label is ``a + b <= threshold`` with a tenth of the labels turned, the model is the
concept of the beginning, and the threshold moves. Values are those of a normal feature whose mean moves.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np  # noqa: TID253 - streams are arrays
from scipy.stats import norm  # noqa: TID253 - of normal values

from airflow_dataml.core.alarm_budget import Detector, count_evidence
from airflow_dataml.core.error_detector import ErrorDetector, upper_bound
from airflow_dataml.core.error_mixture import ErrorMixture
from airflow_dataml.core.sequential import Evidence

RIVER = "0.26.1"
ROWS, DRIFT = 20_000, 10_000
HOLDOUT = 10_000
# A false alarm in 100,000 rows, of the errors and of the values in their windows alike.
BUDGET, WINDOW = 100_000, 100
PORTION = 1000
SHAPES = ("abrupt", "gradual", "incremental", "recurring")
_BINS = norm.ppf(np.arange(1, 20) / 20)


@dataclass
class Found:
    """What a detector did over streams."""

    quiet: int = 0
    false_alarms: int = 0
    drifts: int = 0
    delays: list[int] = field(default_factory=list)

    def add(self, alarms: list[int], drifts: list[tuple[int, int]]) -> None:
        """Count alarms before the first drift as false, and the first within each drift as its finding."""
        positions = np.asarray(alarms, dtype=int)
        self.quiet += drifts[0][0]
        self.false_alarms += int((positions < drifts[0][0]).sum())
        for begin, end in drifts:
            inside = positions[(positions >= begin) & (positions < end)]
            self.drifts += 1
            self.delays += [int(inside[0]) - begin + 1] if len(inside) else []

    def __str__(self) -> str:
        rate = 10_000 * self.false_alarms / self.quiet
        missed = 1 - len(self.delays) / self.drifts
        # A miss is later than any delay.
        late = sorted(self.delays) + [sys.maxsize] * (self.drifts - len(self.delays))
        middle = late[len(late) // 2]
        delay = "never" if middle == sys.maxsize else f"{middle:,}"
        return f"{rate:11.2f}{delay:>9}{missed:8.0%}"


def amounts(shape: str, draw: np.random.Generator) -> tuple[Any, list[tuple[int, int]]]:
    """How much of the new concept is in each row, 0 to 1, and where it drifts."""
    rows = np.arange(ROWS)
    if shape == "abrupt":
        return (rows >= DRIFT).astype(float), [(DRIFT, ROWS)]
    ramp = np.clip((rows - DRIFT) / 2000, 0, 1)
    if shape == "gradual":
        return (draw.random(ROWS) < ramp).astype(float), [(DRIFT, ROWS)]
    if shape == "incremental":
        return np.clip((rows - DRIFT) / 4000, 0, 1), [(DRIFT, ROWS)]
    drifts = [(DRIFT + 4000 * turn, DRIFT + 4000 * turn + 2000) for turn in range(3)]
    return np.sum([(rows >= begin) & (rows < end) for begin, end in drifts], axis=0).astype(float), drifts


def sea_errors(amount: Any, draw: np.random.Generator) -> Any:
    """Errors of the model of ``threshold=8`` where it moves to 9.5: a tenth, then a fifth."""
    total = draw.uniform(0, 10, (2, len(amount))).sum(axis=0)
    turned = draw.random(len(amount)) < 0.1
    label = (total <= 8 + 1.5 * amount) ^ turned
    return (label != (total <= 8)).astype(float)


def normal_values(amount: Any, draw: np.random.Generator) -> Any:
    """A feature whose mean moves by half a standard deviation."""
    return draw.standard_normal(len(amount)) + 0.5 * amount


def known(baseline: float) -> ErrorDetector:
    """Ours, where the baseline or a bound of it is known."""
    return ErrorDetector.of(baseline=baseline, budget=BUDGET)


def held_out(holdout: Evidence) -> ErrorMixture:
    """Ours, where a holdout says what the baseline may be."""
    return ErrorMixture.of(errors=int(holdout.total), rows=holdout.n, budget=BUDGET)


def errors_alarms(
    errors: Any, detector: ErrorDetector | ErrorMixture, *, until: int | None = None
) -> list[int]:
    """Every alarm of ours on errors.

    :param until: the first alarm from this row on is the last that is wanted.
    """
    alarms, begin = list[int](), 0
    while begin < len(errors) and not (alarms and until is not None and alarms[-1] >= until):
        after, first = detector.update(errors[begin : begin + PORTION])
        if first is not None:
            # Of a portion only the first alarm is told: the rest is read again.
            after, _ = detector.update(errors[begin : begin + first + 1])
            alarms.append(begin + first)
        begin, detector = begin + (PORTION if first is None else first + 1), after
    return alarms


def values_alarms(reference: Any, values: Any) -> list[int]:
    """Every alarm of ours on a feature in windows; an alarm is at the end of its window."""
    before: Any = np.bincount(np.searchsorted(_BINS, reference), minlength=20)
    detector, alarms = Detector(budget=BUDGET // WINDOW), []
    for begin in range(0, len(values), WINDOW):
        now: Any = np.bincount(np.searchsorted(_BINS, values[begin : begin + WINDOW]), minlength=20)
        detector = detector.step({"x": count_evidence(before, now, tolerance=0.0, ordered=True)})
        alarms += [begin + WINDOW - 1] if detector.alarm else []
    return alarms


def river_python() -> Path:
    """An interpreter with river, made once in a cache folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "") or Path.home() / ".cache")
    home = cache / "airflow-dataml-bench" / f"river-{RIVER}"
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (home / "made").exists():
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", f"river=={RIVER}"], check=True)
        (home / "made").touch()
    return python


def river_alarms(streams: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """What river's detectors say of the same streams."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "streams.npz"
        np.savez(path, **streams)
        command = [str(river_python()), "-m", "dev.bench.detectors", str(path), ",".join(names)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return dict(json.loads(done.stdout))


def compare(
    streams: dict[str, Any],
    drifts: dict[str, list[tuple[int, int]]],
    ours: dict[str, dict[str, list[int]]],
    slow: int,
) -> dict[str, Found]:
    """Every detector on the same streams.

    :param slow: on how many of them KSWIN runs, which reads some thousand rows a second.
    """
    few = dict(list(streams.items())[:slow])
    peers = river_alarms(streams, ("ADWIN", "PageHinkley")) | (river_alarms(few, ("KSWIN",)) if few else {})
    everyone = ours | {name: peer["alarms"] for name, peer in peers.items()}
    found = {name: Found() for name in everyone}
    for name, alarms in everyone.items():
        for key, positions in alarms.items():
            found[name].add(positions, drifts[key])
    return found


def shaped(kind: str, shape: str, *, streams: int, slow: int) -> dict[str, Found]:
    """Every detector on streams of one kind that drift in one shape."""
    made, drifts, ours = {}, {}, {}
    for seed in range(streams):
        draw, key = np.random.default_rng([SHAPES.index(shape), seed]), str(seed)
        amount, drifts[key] = amounts(shape, draw)
        if kind == "errors":
            holdout = Evidence.of(sea_errors(np.zeros(HOLDOUT), draw))
            made[key] = sea_errors(amount, draw)
            ours[key] = errors_alarms(made[key], held_out(holdout))
        else:
            reference = normal_values(np.zeros(HOLDOUT), draw)
            made[key] = normal_values(amount, draw)
            ours[key] = values_alarms(reference, made[key])
    return compare(made, drifts, {"ours": ours}, slow)


def grown(after: float, *, streams: int, slow: int) -> dict[str, Found]:
    """Every detector on errors that grow from a tenth to a rate, ours with the baseline known, held out and bounded.

    Every stream has a holdout of its own, so that the error of the baseline is in the false alarms.
    """
    made: dict[str, Any] = {}
    rows = f"{HOLDOUT:,} rows held out"
    ours: dict[str, dict[str, list[int]]] = {
        f"ours{said}": {} for said in ("", f", {rows}", f", bound of {rows}")
    }
    for seed in range(streams):
        draw, key = np.random.default_rng([7, seed]), str(seed)
        made[key] = (draw.random(ROWS) < np.where(np.arange(ROWS) < DRIFT, 0.1, after)).astype(float)
        holdout = Evidence.of((draw.random(HOLDOUT) < 0.1).astype(float))
        detectors: tuple[ErrorDetector | ErrorMixture, ...] = (
            known(0.1),
            held_out(holdout),
            known(upper_bound(holdout)),
        )
        for found, detector in zip(ours.values(), detectors, strict=True):
            found[key] = errors_alarms(made[key], detector)
    drifts = {key: [(DRIFT, ROWS)] for key in made}
    return compare(made, drifts, ours, slow)


def false_alarms_held_out(
    *,
    rate: float = 0.1,
    after: float = 0.15,
    held: int = HOLDOUT,
    models: int = 400,
    before: float | None = None,
) -> Found:
    """Ours alone over many more models than river reads: every model with a holdout, and a quiet stream, of its own.

    :param before: what the rate is for 10,000 rows before the quiet ones: a season of fewer errors, say.
    """
    found = Found()
    for seed in range(models):
        draw = np.random.default_rng([11, seed])
        holdout = Evidence.of((draw.random(held) < rate).astype(float))
        detector: ErrorMixture = held_out(holdout)
        if before is not None:
            detector, _ = detector.update((draw.random(DRIFT) < before).astype(float))
        rows = (draw.random(ROWS) < np.where(np.arange(ROWS) < DRIFT, rate, after)).astype(float)
        found.add(errors_alarms(rows, detector, until=DRIFT), [(DRIFT, ROWS)])
    return found
