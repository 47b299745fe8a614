"""Estimated: what a scored batch's labels are expected to show, before there is one."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import NotFoundError
from airflow_dataml.core.estimation import DECISION, Calibration, estimate
from airflow_dataml.core.refs import number_sql, quote_identifier

if TYPE_CHECKING:
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.monitoring import MonitorPolicy
    from airflow_dataml.core.ports import Ledger, Warehouse
    from airflow_dataml.steps.observing import Window
    from airflow_dataml.steps.observing_labels import Labels

log = logging.getLogger(__name__)
SCORE = "score"
# The ranks of equal scores are their mean, so that the area under the curve is that of Mann and Whitney.
_MEASURES = {
    "binary": f"""avg(-(y * ln(p) + (1 - y) * ln(1 - p))) AS log_loss, avg((y - {SCORE}) ^ 2) AS brier_score_loss,
                  avg((({SCORE} >= {DECISION}) = (y > 0.5))::int) AS accuracy,
                  (sum(place) FILTER (WHERE y > 0.5) - sum(y) * (sum(y) + 1) / 2)
                    / nullif(sum(y) * (count(*) - sum(y)), 0) AS roc_auc""",
    "regression": f"avg((y - {SCORE}) ^ 2) AS mean_squared_error",
}


def estimate_batch(
    *, ledger: Ledger, warehouse: Warehouse, window: Window, policy: MonitorPolicy
) -> dict[str, Any] | None:
    """Estimate the champion's performance on a batch, as :func:`expect_batch`; where it cannot be told, say why.

    :return: ``None``, with the reason logged, where the champion has no calibration or the batch too few scores.
    """
    try:
        return expect_batch(ledger=ledger, warehouse=warehouse, window=window, policy=policy)
    except NotFoundError as err:
        log.info("No estimate without labels: %s", err)
        return None


def expect_batch(
    *, ledger: Ledger, warehouse: Warehouse, window: Window, policy: MonitorPolicy
) -> dict[str, Any]:
    """Estimate the champion's performance on a batch from the histogram of its scores; see ``core.estimation``.

    Costs one pass of the database over the batch's scores. By metric it gives ``estimate``, ``low``, ``high`` and
    what was ``released``; beside the metrics ``released`` is the loss at release, ``n`` the scores, ``level`` the
    confidence and ``evaluation`` the report that holds the calibration.

    :param policy: gives the confidence of the intervals, and the least rows.
    :raises NotFoundError: the champion has no calibration, or the batch too few scores.
    """
    evaluation, calibration = _calibration(ledger, window)
    cells = score_cells(warehouse, window, calibration)
    rows = sum(count for _, count in cells)
    if rows < policy.min_rows:
        batch = f"{window.predictions.asset} {window.part.partition_key}"
        msg = (
            f"{batch} has {rows} scores of {window.champion.ref}, and at least {policy.min_rows} are needed."
        )
        raise NotFoundError(msg)
    metrics = {
        name: {
            "estimate": one.estimate,
            "low": one.low,
            "high": one.high,
            "released": calibration.released[name],
        }
        for name, one in estimate(cells, calibration, level=policy.confidence).items()
    }
    return metrics | {
        "released": float(evaluation.body["challenger"]["loss"]["estimate"]),
        "n": rows,
        "level": policy.confidence,
        "evaluation": evaluation.report_id,
    }


def _calibration(ledger: Ledger, window: Window) -> tuple[Report, Calibration]:
    champion = window.champion
    if (task := champion.facts["spec"]["task"]) not in _MEASURES:
        msg = (
            f"{champion.ref} is a {task} model; without labels only {' and '.join(_MEASURES)} are estimated."
        )
        raise NotFoundError(msg)
    evaluation = ledger.reports.latest(
        asset=champion.asset, kind="evaluation", version_id=champion.version_id
    )
    kept = evaluation.body.get("calibration") if evaluation else None
    if evaluation is None or not kept:
        why = f"report {evaluation.report_id} holds none" if evaluation else "it was never evaluated"
        msg = (
            f"{champion.ref} has no calibration of its scores, {why}: evaluate it with ModelEvaluateOperator."
        )
        raise NotFoundError(msg)
    return evaluation, Calibration.from_dict(kept)


def score_cells(warehouse: Warehouse, window: Window, calibration: Calibration) -> list[tuple[int, int]]:
    """Count the champion's scores of a batch in the cells of a calibration."""
    cell = f"width_bucket({SCORE}, %s::double precision[])" if calibration.edges else "0"
    found = warehouse.query(
        f"""SELECT {cell} AS cell, count(*) AS n FROM {window.part.relation.quoted}
            WHERE model_role = 'champion' AND {SCORE} IS NOT NULL AND {SCORE} <> 'NaN' GROUP BY 1 ORDER BY 1""",
        [list(calibration.edges)] if calibration.edges else None,
    )
    return [(row["cell"], row["n"]) for row in found]


def measure_batch(*, warehouse: Warehouse, window: Window, labels: Labels) -> dict[str, Any]:
    """Measure what :func:`expect_batch` estimates, on the rows whose label is there; one row leaves the database.

    :return: by metric, and their rows as ``n``; no metric without a row.
    """
    spec = window.champion.facts["spec"]
    keys = ", ".join(map(quote_identifier, labels.keys))
    rows = warehouse.union(labels.parts, tuple(dict.fromkeys((*labels.keys, spec["target"]))))
    [found] = warehouse.query(
        f"""SELECT count(*) AS n, {_MEASURES[spec["task"]]} FROM (
              SELECT y, {SCORE}, greatest(1e-7, least(1 - 1e-7, {SCORE})) AS p,
                     rank() OVER (ORDER BY {SCORE}) + (count(*) OVER (PARTITION BY {SCORE}) - 1) / 2.0 AS place
              FROM (SELECT {number_sql(spec["target"])} AS y, p.{SCORE}
                    FROM {window.part.relation.quoted} p JOIN ({rows}) l USING ({keys})
                    WHERE p.model_role = 'champion' AND p.{SCORE} IS NOT NULL AND p.{SCORE} <> 'NaN'
                      AND l.{quote_identifier(spec["target"])} IS NOT NULL) joined) placed"""
    )
    measured = {name: float(value) for name, value in found.items() if name != "n" and value is not None}
    if (mean := measured.get("mean_squared_error")) is not None:
        measured["root_mean_squared_error"] = math.sqrt(mean)
    return measured | {"n": found["n"]}
