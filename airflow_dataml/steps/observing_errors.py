"""Observing errors: a model's realised errors row by row, in the order in which their labels were published."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.monitor_errors import ERRORS, baseline_of, errors_begun, errors_taken_up
from airflow_dataml.core.refs import number_sql, quote_identifier
from airflow_dataml.steps.observing_history import reports_before
from airflow_dataml.steps.observing_labels import Labels, loss_sql

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_dataml.core.datasets import Part
    from airflow_dataml.core.governance import Report
    from airflow_dataml.steps.observing import Look, Window

log = logging.getLogger(__name__)
# Whether a yes or no was wrong, as evaluation counts it.
_WRONG = (
    "CASE WHEN y <> 'NaN' AND score <> 'NaN' THEN ((score >= 0.5) <> (y > 0.5))::int::double precision END"
)


def watch_errors(look: Look, body: dict[str, Any]) -> dict[str, Any]:
    """Add what the labels that came since say of the model's errors; the caller holds the asset's lock.

    New labels are those of the window and of the batches of ``labels_from``; each row is read once. Costs one query for
    every batch that has new labels, and one number of each of its rows.
    """
    if look.policy.errors is None:
        return body
    champion = look.champion
    evaluation = look.ledger.reports.latest(
        asset=champion.asset, kind="evaluation", version_id=champion.version_id
    )
    if evaluation is None:
        log.info("%s was never evaluated: its errors have no baseline", champion.ref)
        return body
    baseline = baseline_of(evaluation.body, measure=look.policy.errors.measure)
    baseline["evaluation"] = evaluation.report_id
    before = _state_before(look, body, baseline)
    state = before.body["errors"] if before else errors_begun(baseline, look.policy)
    found = errors_taken_up(
        state,
        report=before.report_id if before else None,
        batch=body["partition_key"],
        arrivals=list(_arrivals(look, state["read"], baseline["measure"])),
        policy=look.policy,
    )
    if found["alarm"]:
        findings = body["findings"]
        body = body | {"findings": findings | {"decay": [*findings["decay"], found["told"]]}}
    return body | {"errors": found}


def _state_before(look: Look, body: Mapping[str, Any], baseline: Mapping[str, Any]) -> Report | None:
    """The newest report whose errors go on: of the same model, baseline and budget."""
    policy = look.policy.model_dump(mode="json")
    for report in reports_before(look.ledger, look.subject, body):
        had = report.body.get("errors")
        same = all(report.body["policy"].get(name) == policy.get(name) for name in ("errors", "alarm_budget"))
        if had and same and had["baseline"] == baseline:
            return report
    return None


def _arrivals(look: Look, read: Mapping[str, Sequence[int]], measure: str) -> Iterator[dict[str, Any]]:
    """Batches with new labels, in the order of their publication."""
    looks = [(one.window, one.labels) for one in look.earlier] + [(look.window, look.labels)]
    newest = [(max((p.part_id for p in labels.parts), default=0), w.part.part_id) for w, labels in looks]
    for _, (window, labels) in sorted(zip(newest, looks, strict=True), key=lambda one: one[0]):
        batch = window.part.partition_key or ""
        had = set(read.get(batch, ()))
        new = tuple(p for p in labels.parts if p.part_id not in had)
        if not new:
            continue
        old = tuple(look.ledger.versions.part(one) for one in sorted(had))
        if any(part.state != "live" for part in old):
            # Which rows were read before nobody can tell any more, and none may be read twice.
            log.info("Earlier labels of batch %s are kept no more: its new ones are not read", batch)
            losses: list[float] = []
        else:
            losses = _losses(look, window, Labels(labels.version, new, labels.keys), old, measure)
        yield {
            "batch": batch,
            "parts": sorted(had | {p.part_id for p in new}),
            "published": _published(look, new),
            "scored": window.rows,
            "losses": losses,
        }


def _published(look: Look, parts: Sequence[Part]) -> str | None:
    """When the newest of some parts was published."""
    brought = look.ledger.versions.bringing(max(p.part_id for p in parts))
    return brought.created_at.isoformat(timespec="seconds") if brought else None


def _losses(look: Look, window: Window, labels: Labels, old: Sequence[Part], measure: str) -> list[float]:
    """Errors or losses of the rows whose label is new, in the order of their keys; numbers among these count up."""
    formula = _WRONG if measure == ERRORS else None
    rows = loss_sql(look.warehouse, window, labels, beside=labels.keys, formula=formula)
    places = range(len(labels.keys))
    left = ""
    if old:
        target = window.champion.facts["spec"]["target"]
        known = look.warehouse.union(old, tuple(dict.fromkeys((*labels.keys, target))))
        same = " AND ".join(f"r.{quote_identifier(key)}::text = l.b{i}" for i, key in enumerate(labels.keys))
        there = quote_identifier(target) if measure != ERRORS else number_sql(target)
        left = f" AND NOT EXISTS (SELECT FROM ({known}) r WHERE {there} IS NOT NULL AND {same})"
    order = ", ".join(f'length(b{i}), b{i} COLLATE "C"' for i in places)
    [found] = look.warehouse.query(
        f"SELECT array_agg(loss ORDER BY {order}) AS losses FROM ({rows}) l WHERE loss IS NOT NULL{left}"
    )
    return [float(one) for one in found["losses"] or ()]
