"""A model with a year behind it: three versions, comparisons, forty windows of twelve features, an alarm and what followed."""

from __future__ import annotations

import math
import random
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.lineage import Edge, report_node, version_node
from tests.support import identity
from tests.ui.watched_world import ask, beside, blame, evidence, impact_and_reach

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.runs import TaskRun

NAME = "ride_late"
FEATURES = (
    "km", "hour", "weekday", "month", "pickup_zone", "dropoff_zone", "rain_mm", "wind_speed", "temperature",
    "fare_estimate", "driver_tenure_days", "traffic_index",
)  # fmt: skip
WINDOWS = 40
# From this window on the town has a new ring road, and from some later one the model feels it.
MOVED, DECAYED = 30, 35
POLICY = {"margin": 0.0, "confidence": 0.95, "min_rows": 500}
MONITOR = {"tolerance": 0.1, "level": 0.01, "decay_tolerance": 0.3, "confidence": 0.99, "min_rows": 500}


def fill_model(ledger: PostgresLedger, trained_on: Version) -> None:
    """Write the model and its life; ``trained_on`` is the version its champion is pinned to."""
    ledger.assets.register(
        name=NAME, kind="model", uri=f"dataml://model/{NAME}", owner="mobility",
        description="Whether a ride comes later than promised, scored when it is booked.",
        tags=["gold", "customer facing"], importance="high",
    )  # fmt: skip
    with ledger.transaction():
        first = _train(ledger, trained_on, "2026-01")
        _evaluated(ledger, first, None, loss=0.61, against=0.69)
        second = _train(ledger, trained_on, "2026-02")
        _evaluated(ledger, second, first, loss=0.52, against=0.58)
        _live(ledger, second, trained_on)
        third = _train(ledger, trained_on, "2026-03")
        _evaluated(ledger, third, second, loss=0.515, against=0.52)
        runs = {name: _run(ledger, name, "2026-05") for name in ("impact", "reach")}
        impact_and_reach(ledger, runs, trained_on, second)
    ask(ledger, third, second)


def _run(ledger: PostgresLedger, task: str, run: str) -> TaskRun:
    return ledger.runs.begin(identity(task, f"scheduled__{run}"), input_digest=f"{task}{run}")


def _train(ledger: PostgresLedger, source: Version, run: str) -> Version:
    task = _run(ledger, "train", run)
    facts: dict[str, Any] = {
        "plan": {
            "version": source.ref, "version_id": source.version_id, "partitions": ["2026-03-04", "2026-03-05"],
            "cut": "2026-03-05T12:00:00+00:00", "time_column": "started", "reasons": ["decay: loss 0.71 against 0.52 at release"],
        },
        "spec": {
            "model": NAME, "task": "binary", "target": "late", "seed": 7, "max_epochs": 20, "batch_size": 512,
            "learning_rate": 0.003, "module": "airflow_dataml.adapters.lightning.tabular:TabularModule",
            "module_arguments": {"hidden": [64, 32]},
            "features": [
                {"name": name, "kind": "categorical" if "zone" in name or name == "weekday" else "numeric"}
                for name in FEATURES
            ],
        },
        "training": {
            "metrics": {"loss": 0.497 + 0.01 * len(run) / 7, "auc": 0.834}, "epochs": 14, "steps": 8400, "rows": 306_000,
            "seconds": 412.0, "resumed": run == "2026-02", "weights_digest": "9f2c44d81b0e7733ab" + run.replace("-", ""),
        },
        "registry": {"version": 1, "run_id": "4711abc", "experiment": "rides"},
        "artifact_digest": "c0ffee44d81b0e7733ab",
        "score_cells": [[1, 2]],
    }  # fmt: skip
    version = ledger.versions.add(run=task, fact=task.fact(NAME), facts=facts)
    ledger.versions.pin(source.version_id, holder=version.ref, reason="trained on")
    ledger.versions.move_alias(asset=NAME, name="candidate", version_id=version.version_id, run=task)
    ledger.lineage.add(
        [Edge(version_node(source.version_id), version_node(version.version_id), "trained_on")], run=task
    )
    ledger.audit.add(action="train", subject=version.ref, run=task, detail={"dataset": source.ref})
    return version


def _interval(value: float, half: float, rows: int = 4200) -> dict[str, Any]:
    return {"estimate": value, "low": value - half, "high": value + half, "level": 0.95, "n": rows}


def _evaluated(
    ledger: PostgresLedger, version: Version, champion: Version | None, *, loss: float, against: float
) -> None:
    """Measure a version and decide on it, as the steps do."""
    task = _run(ledger, "evaluate", f"v{version.number}")
    who = champion.ref if champion else "the mean of the training rows"
    better = loss - against + 0.012 < 0
    difference = _interval(loss - against, 0.012)
    summary = (
        f"log_loss {loss:.4f} against {against:.4f} of {who}, difference {difference['estimate']:+.4f} "
        f"[{difference['low']:+.4f}, {difference['high']:+.4f}] on 4200 rows: {'' if better else 'not '}surely better by more than 0"
    )
    evaluation = ledger.reports.add(
        run=task, fact=task.fact(NAME), kind="evaluation", verdict="pass" if better else "fail", version_id=version.version_id,
        body={
            "metric": "log_loss", "summary": summary, "rows": 4200, "difference": difference, "policy": POLICY,
            "challenger": {"who": version.ref, "loss": _interval(loss, 0.02), "auc": 0.83},
            "opponent": {"who": who, "loss": _interval(against, 0.024), "auc": 0.79 if champion else 0.5},
            "challenger_ref": version.ref, "champion_ref": champion.ref if champion else None, "dataset": "rides@6",
            "cut": "2026-03-05T12:00:00+00:00",
        },
    )  # fmt: skip
    run = _run(ledger, "promote", f"v{version.number}")
    reasons = [summary] if champion else [summary, "there was no champion"]
    decision = ledger.reports.add(
        run=run, fact=run.fact(NAME), kind="decision", verdict=evaluation.verdict, version_id=version.version_id,
        body={"action": "promote" if better else "keep", "reasons": reasons, "facts": {}, "evaluation": evaluation.report_id},
    )  # fmt: skip
    moves: dict[str, int | None] = {
        "candidate": None,
        "champion" if better else "challenger": version.version_id,
    }
    if better and champion:
        moves["previous"] = champion.version_id
    for alias, target in moves.items():
        ledger.versions.move_alias(
            asset=NAME, name=alias, version_id=target, run=run, report_id=decision.report_id
        )
    ledger.audit.add(
        action=decision.body["action"], subject=version.ref, run=run,
        detail={"report": decision.report_id, "action": decision.body["action"], "reasons": reasons},
    )  # fmt: skip


def _live(ledger: PostgresLedger, champion: Version, source: Version) -> None:
    """Watch the champion for forty days."""
    draw = random.Random(3)  # noqa: S311 - test data
    opened, report = False, None
    for number in range(WINDOWS):
        report = _window(ledger, champion, source, number, draw, report)
        decided = _run(ledger, "decide", f"w{number}")
        found = [text for texts in report.body["findings"].values() for text in texts]
        action = "retrain" if number == DECAYED else "wait"
        decision = ledger.reports.add(
            run=decided, fact=decided.fact(NAME), kind="decision", verdict=report.verdict, version_id=champion.version_id,
            body={"action": action, "reasons": found or ["no drift and no decay beyond the tolerances"], "monitor": report.report_id,
                  "partition_key": report.body["partition_key"]},
        )  # fmt: skip
        ledger.lineage.add(
            [Edge(report_node(report.report_id), report_node(decision.report_id), "reason")], run=decided
        )
        if number == DECAYED and not opened:
            incident, _ = ledger.incidents.open(
                asset=NAME, kind="decay", severity="high", report_id=report.report_id,
                title=f"{champion.ref} on batch {report.body['partition_key']}: {found[0]}",
            )  # fmt: skip
            opened = True
            blame(ledger, _run(ledger, "blame", f"w{number}"), NAME, champion, incident.incident_id)


def _window(
    ledger: PostgresLedger,
    champion: Version,
    source: Version,
    number: int,
    draw: random.Random,
    before: Report | None,
) -> Report:
    key = str(date(2026, 4, 1) + timedelta(days=number))
    task = _run(ledger, "monitor", f"w{number}")
    inputs = [shift for name in FEATURES for shift in _shifts(name, number, draw)]
    loss = 0.53 + draw.gauss(0, 0.012) + (0.22 if number >= DECAYED else 0.0)
    decay = number >= DECAYED
    findings = {
        "decay": [f"loss {loss:.4f} against 0.5200 at release (+{loss / 0.52 - 1:.0%}, borne +30%)"] if decay else [],
        "prediction_drift": ["score values moved: PSI 0.221 (borne 0.1)"] if decay else [],
        "input_drift": [
            f"{s['column']} {s['test']} moved: PSI {s['psi']:.3f} (borne 0.1)" for s in inputs if s["drifted"]
        ],
    }  # fmt: skip
    verdict = "fail" if decay else "warn" if findings["input_drift"] else "pass"
    late = f"labels of batch {key} are late: 4210 of 5100 came in 46 days, promised are 95% in 45 days"
    findings |= {"late": [late] if number == WINDOWS - 1 else []}
    found = [text for texts in findings.values() for text in texts]
    labelled = number < WINDOWS - 2
    report = ledger.reports.add(
        run=task, fact=task.fact(NAME), kind="monitor", verdict=verdict, version_id=champion.version_id,
        body={
            "partition_key": key, "model": champion.ref, "predictions": "rides@7", "features": source.ref, "reference": source.ref,
            "rows": 5100, "policy": MONITOR | {"max_label_delay": "P45D", "attribution_tolerance": 0.15}, "inputs": inputs, "blind": [], "feed_broken": [], "findings": findings,
            "prediction": [_shift("score", 0.221 if decay else abs(draw.gauss(0.01, 0.01)), drifted=decay)],
            "performance": {"released": 0.52, "now": _interval(loss, 0.03, 4800) | {"level": 0.99} if labelled else None,
                            "scored": 5100, "labelled": 4800 if labelled else 400},
            "summary": "; ".join(found) or "no drift and no decay beyond the tolerances",
        }
        | evidence(FEATURES, number, MOVED, key, before, draw)
        | beside(number, DECAYED, draw, [str(date(2026, 4, 1) + timedelta(days=number - n)) for n in range(1, min(number, 2) + 1)]),
    )  # fmt: skip
    node = report_node(report.report_id)
    ledger.lineage.add(
        (Edge(version_node(v.version_id), node, "monitored") for v in (source, champion)), run=task
    )
    return report


def _shifts(name: str, number: int, draw: random.Random) -> list[dict[str, Any]]:
    season = 0.06 * (1 + math.sin(number / 5)) if name in ("temperature", "month", "rain_mm") else 0.0
    moved = name in ("km", "traffic_index", "dropoff_zone") and number >= MOVED
    psi = abs(draw.gauss(0.015, 0.01)) + season + (0.3 + 0.02 * (number - MOVED) if moved else 0.0)
    return [
        _shift(name, psi, drifted=moved),
        _shift(name, abs(draw.gauss(0.001, 0.001)), drifted=False, test="missing"),
    ]


def _shift(name: str, psi: float, *, drifted: bool, test: str = "values") -> dict[str, Any]:
    return {
        "column": name, "test": test, "psi": psi, "p_value": 1e-9 if drifted else 0.4, "n_reference": 306_000, "n_current": 5100,
        "drifted": drifted,
    }  # fmt: skip
