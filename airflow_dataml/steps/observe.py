"""Observe: one scored batch against the model's training version, and its realised performance."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import NotFoundError
from airflow_dataml.core.evaluation import LOSS_OF_TASK
from airflow_dataml.core.lineage import Edge, report_node, version_node
from airflow_dataml.core.monitoring import ColumnShift, blind_columns, column_shifts, decayed
from airflow_dataml.core.profiles import CELLS, merge_profiles
from airflow_dataml.core.refs import number_sql, quote_identifier
from airflow_dataml.core.runs import digest_of
from airflow_dataml.core.statistics import Interval, mean_interval
from airflow_dataml.core.windows import plan_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.core.datasets import Part, Version
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.monitoring import MonitorPolicy
    from airflow_dataml.core.ports import Ledger, Warehouse
    from airflow_dataml.core.runs import RunIdentity, TaskRun

log = logging.getLogger(__name__)
SCORE = "score"
_LOSS_SQL = {
    "log_loss": "-(y * ln(p) + (1 - y) * ln(1 - p))",
    "squared_error": "(y - score) ^ 2",
}


@dataclass(frozen=True, slots=True)
class Window:
    """A scored batch with everything that made it."""

    predictions: Version
    part: Part
    features: Version
    features_parts: tuple[Part, ...]
    champion: Version

    @property
    def rows(self) -> int:
        """Rows of the scored batch."""
        return sum(p.rows for p in self.features_parts)


def observe_batch(
    *,
    ledger: Ledger,
    warehouse: Warehouse,
    identity: RunIdentity,
    model: str,
    predictions: str,
    key_columns: Sequence[str],
    partition_key: str,
    policy: MonitorPolicy,
    branch: str | None = None,
) -> Report:
    """Look at one batch for drift of inputs and predictions and for decay; open an incident on an alarm.

    Inputs are compared with the profile of the exact dataset version the champion was trained on,
    predictions with its scores there, realised loss with its loss on the holdout at release.

    :param key_columns: columns that join predictions to the labels.
    :param branch: look at what was scored there. Nobody else reads it, so the report is one on its predictions,
        not on the model, and opens no incident.
    :raises NotFoundError: the batch has not been scored.
    """
    window = _window(ledger, predictions, partition_key, branch)
    plan_of(window.champion, what=f"watching {model!r}")
    subject = model if branch is None else window.predictions.asset
    run = ledger.runs.begin(
        identity,
        input_digest=digest_of(predictions=window.part.part_id, policy=policy.model_dump(mode="json")),
    )
    report = ledger.reports.of_fact(run.fact(subject), "monitor")
    if report is not None:
        log.info("An earlier try observed this batch (report %d); kept", report.report_id)
        return report
    shifts, blind = _input_shifts(ledger, window, policy)
    scores = _prediction_shift(warehouse, window, policy)
    released, now = _performance(ledger, warehouse, window, key_columns, policy)
    findings = _findings(shifts, scores, released, now, policy)
    body = {
        "partition_key": partition_key,
        "model": window.champion.ref,
        "predictions": window.predictions.ref,
        "features": window.features.ref,
        "reference": window.champion.facts["plan"]["version"],
        "rows": window.rows,
        "policy": policy.model_dump(mode="json"),
        "inputs": [s.to_dict() for s in shifts],
        "blind": list(blind),
        "prediction": [s.to_dict() for s in scores],
        "performance": {"released": released, "now": now.to_dict() if now else None},
        "findings": findings,
        "feed_broken": _broken_feeds(ledger, window),
    } | ({"branch": branch} if branch else {})
    return _record(ledger, run, subject, window, body, policy)


def _window(ledger: Ledger, predictions: str, partition_key: str, branch: str | None) -> Window:
    current = ledger.versions.find(predictions, branch=branch)
    manifest = ledger.versions.manifest(current.version_id)
    part = next((p for p in manifest if p.partition_key == partition_key), None)
    if part is None:
        what = f"scored batch of {current.asset}"
        raise NotFoundError.from_available(what, partition_key, [p.partition_key or "" for p in manifest])
    made_in = ledger.versions.bringing(part.part_id)
    if made_in is None:
        what = f"version that brought batch {partition_key} of {current.asset}"
        raise NotFoundError.from_available(what, part.part_id, ())
    features = ledger.versions.by_id(made_in.facts["features"])
    champion = ledger.versions.by_id(made_in.facts["models"]["champion"])
    sources = tuple(
        p for p in ledger.versions.manifest(features.version_id) if p.partition_key == partition_key
    )
    return Window(made_in, part, features, sources, champion)


def _input_shifts(
    ledger: Ledger, window: Window, policy: MonitorPolicy
) -> tuple[tuple[ColumnShift, ...], tuple[str, ...]]:
    """Shifts of the inputs, and the inputs whose histograms cannot tell."""
    plan = window.champion.facts["plan"]
    parts = [p for p in ledger.versions.manifest(plan["version_id"]) if p.partition_key in plan["partitions"]]
    reference = merge_profiles([p.profile for p in parts])
    columns = [f["name"] for f in window.champion.facts["spec"]["features"]]
    current = merge_profiles([p.profile for p in window.features_parts])
    blind = blind_columns(reference, current, columns=columns)
    return column_shifts(reference, current, columns=columns, policy=policy), blind


def _prediction_shift(warehouse: Warehouse, window: Window, policy: MonitorPolicy) -> tuple[ColumnShift, ...]:
    cells = window.champion.facts["score_cells"]
    if not cells:
        return ()
    found = warehouse.query(
        f"""SELECT width_bucket({SCORE}, 0, 1, %s) AS cell, count(*) AS n FROM {window.part.relation.quoted}
            WHERE model_role = 'champion' AND {SCORE} IS NOT NULL GROUP BY 1 ORDER BY 1""",
        [CELLS],
    )
    now = [[row["cell"], row["n"]] for row in found]
    profiles = [
        {"rows": sum(n for _, n in side), "columns": {SCORE: {"nulls": 0, "grid": [0.0, 1.0], "cells": side}}}
        for side in (cells, now)
    ]
    shifts = column_shifts(profiles[0], profiles[1], columns=[SCORE], policy=policy)
    return tuple(s for s in shifts if s.test == "values")


def _performance(
    ledger: Ledger, warehouse: Warehouse, window: Window, key_columns: Sequence[str], policy: MonitorPolicy
) -> tuple[float | None, Interval | None]:
    evaluation = ledger.reports.latest(
        asset=window.champion.asset, kind="evaluation", version_id=window.champion.version_id
    )
    released = float(evaluation.body["challenger"]["loss"]["estimate"]) if evaluation else None
    spec = window.champion.facts["spec"]
    keys = ", ".join(quote_identifier(k) for k in key_columns)
    labels = warehouse.union(window.features_parts, tuple(dict.fromkeys((*key_columns, spec["target"]))))
    row = warehouse.query(
        f"""SELECT count(*) AS n, coalesce(sum(loss), 0) AS total, coalesce(sum(loss * loss), 0) AS squares FROM (
              SELECT {_LOSS_SQL[LOSS_OF_TASK[spec["task"]]]} AS loss FROM (
                SELECT {number_sql(spec["target"])} AS y, p.{SCORE},
                       greatest(1e-7, least(1 - 1e-7, p.{SCORE})) AS p
                FROM {window.part.relation.quoted} p JOIN ({labels}) f USING ({keys})
                WHERE p.model_role = 'champion' AND p.{SCORE} IS NOT NULL
                  AND f.{quote_identifier(spec["target"])} IS NOT NULL) joined) losses"""
    )[0]
    if row["n"] < policy.min_rows:
        return released, None
    return released, mean_interval(
        row["n"], float(row["total"]), float(row["squares"]), level=policy.confidence
    )


def _findings(
    shifts: Sequence[ColumnShift],
    scores: Sequence[ColumnShift],
    released: float | None,
    now: Interval | None,
    policy: MonitorPolicy,
) -> dict[str, list[str]]:
    findings: dict[str, list[str]] = {"decay": [], "prediction_drift": [], "input_drift": []}
    if released is not None and now is not None and decayed(released=released, now=now, policy=policy):
        growth = now.estimate / released - 1
        findings["decay"].append(
            f"loss {now.estimate:.4f} [{now.low:.4f}, {now.high:.4f}] against {released:.4f} at release "
            f"({growth:+.0%}, borne {policy.decay_tolerance:+.0%})"
        )
    for kind, tests in (("prediction_drift", scores), ("input_drift", shifts)):
        for shift in sorted(tests, key=lambda s: -s.psi):
            if shift.drifted:
                findings[kind].append(
                    f"{shift.column} {shift.test} moved: PSI {shift.psi:.3f} (borne {policy.tolerance:g})"
                )
    return findings


def _broken_feeds(ledger: Ledger, window: Window) -> list[str]:
    """Open data incidents on what this batch was made from: its numbers may not be the world's."""
    graph = ledger.lineage.walk(str(version_node(window.features.version_id)), direction="upstream")
    assets = sorted({node.label.partition("@")[0] for node in graph.nodes})
    return [
        f"feed {incident.asset} has an open data incident: {incident.title}"
        for incident in ledger.incidents.open_data(assets)
        # A few rows set aside do not make the rest of a feed wrong.
        if incident.severity != "low" and incident.partition_key in (None, window.part.partition_key)
    ]


def _verdict(body: dict[str, Any], policy: MonitorPolicy) -> str:
    findings = body["findings"]
    if body["rows"] < policy.min_rows:
        return "unknown"
    if findings["decay"] or findings["prediction_drift"]:
        return "fail"
    if findings["input_drift"]:
        return "warn"
    return "unknown" if body["blind"] else "pass"


def _record(
    ledger: Ledger, run: TaskRun, subject: str, window: Window, body: dict[str, Any], policy: MonitorPolicy
) -> Report:
    verdict = _verdict(body, policy)
    found = [text for texts in body["findings"].values() for text in texts]
    with ledger.transaction():
        report = ledger.reports.add(
            run=run,
            fact=run.fact(subject),
            kind="monitor",
            verdict=verdict,
            body=body | {"summary": "; ".join(found) or "no drift and no decay beyond the tolerances"},
            version_id=(window.predictions if "branch" in body else window.champion).version_id,
        )
        node = report_node(report.report_id)
        sources = (window.predictions, window.features, window.champion)
        ledger.lineage.add((Edge(version_node(v.version_id), node, "monitored") for v in sources), run=run)
        if found and "branch" not in body:
            kind = "decay" if body["findings"]["decay"] else "drift"
            severity = "high" if kind == "decay" else "medium" if verdict == "fail" else "low"
            ledger.incidents.open(
                asset=subject,
                kind=kind,
                severity=severity,
                title=f"{window.champion.ref} on batch {body['partition_key']}: {found[0]}",
                report_id=report.report_id,
            )
        ledger.runs.finish(run)
    log.info(
        "Batch %s with %s: %s. %s",
        body["partition_key"],
        window.champion.ref,
        verdict,
        report.body["summary"],
    )
    return report
