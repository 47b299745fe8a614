"""Estimated: what a scored batch's labels are expected to show, before there is one."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import NotFoundError
from airflow_dataml.core.estimation import DECISION, Calibration, estimate
from airflow_dataml.core.estimation_classes import ClassCalibration
from airflow_dataml.core.estimation_losses import LossModel
from airflow_dataml.core.evaluation import LOSS_OF_TASK
from airflow_dataml.core.refs import number_sql, quote_identifier
from airflow_dataml.core.row_losses import row_loss_sql
from airflow_dataml.steps.estimated_counts import class_counts, loss_counts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.monitoring import MonitorPolicy
    from airflow_dataml.core.ports import Ledger, Warehouse
    from airflow_dataml.core.statistics import Interval
    from airflow_dataml.steps.observing import Window
    from airflow_dataml.steps.observing_labels import Labels

log = logging.getLogger(__name__)
SCORE = "score"
_BY_SCORE = ("binary", "regression")
# The ranks of equal scores are their mean, so that the area under the curve is that of Mann and Whitney.
_MEASURES = {
    "binary": f"""avg(loss) AS log_loss, avg((y - {SCORE}) ^ 2) AS brier_score_loss,
                  avg((({SCORE} >= {DECISION}) = (y > 0.5))::int) AS accuracy,
                  (sum(place) FILTER (WHERE y > 0.5) - sum(y) * (sum(y) + 1) / 2)
                    / nullif(sum(y) * (count(*) - sum(y)), 0) AS roc_auc""",
    "regression": "avg(loss) AS mean_squared_error",
    "multiclass": "avg(loss) AS log_loss, avg((label = y)::int) AS accuracy",
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
    """Estimate the champion's performance on a batch; see ``core.estimation``, and its ``_classes`` and ``_losses``.

    Costs one pass of the database over the batch. By metric it gives ``estimate``, ``low``, ``high`` and what was
    ``released``; beside the metrics ``released`` is the loss at release, ``n`` the scores, ``level`` the confidence,
    ``evaluation`` the report that holds the calibration, and ``by`` what it is told from: ``scores``,
    ``probabilities`` or ``features``. ``missing`` says what the report lacks for a better one, and the remedy.

    :param policy: gives the confidence of the intervals, and the least rows.
    :raises NotFoundError: the champion has no calibration, or the batch too few scores.
    """
    champion = window.champion
    what = f"{window.predictions.asset} {window.part.partition_key} has"
    evaluation, kept = _kept(ledger, champion)
    if champion.facts["spec"]["task"] == "multiclass":
        classes = ClassCalibration.from_dict(kept)
        counted = class_counts(warehouse, window, classes)
        rows = sum(n for _, top, _, n in counted if top)
        _see_enough(rows, policy, what, champion)
        told = classes.estimate(counted, level=policy.confidence)
        return _body(told, classes.released, evaluation, rows, policy) | {"by": "probabilities"}
    if found := evaluation.body.get("loss_model"):
        model = LossModel.from_dict(found)
        bins = loss_counts(ledger, warehouse, window, model)
        rows = sum(n for block, _, n in bins if block == (0,))
        _see_enough(rows, policy, what, champion)
        released = {
            "mean_squared_error": model.released,
            "root_mean_squared_error": math.sqrt(model.released),
        }
        told = model.estimate(bins, level=policy.confidence)
        return _body(told, released, evaluation, rows, policy) | {"by": "features"}
    calibration = Calibration.from_dict(kept)
    cells = score_cells(warehouse, window, calibration)
    body = expect_cells(cells, evaluation, calibration, policy=policy, what=what, of=champion)
    if calibration.task == "regression":
        why = (
            f"report {evaluation.report_id} holds no model of the loss by features, so the scores alone were asked: "
            f"evaluate {champion.ref} again with ModelEvaluateOperator, on at least 200 labelled rows."
        )
        body["missing"] = why
    return body


def _see_enough(rows: int, policy: MonitorPolicy, what: str, of: Version) -> None:
    if rows < policy.min_rows:
        msg = f"{what} {rows} scores of {of.ref}, and at least {policy.min_rows} are needed."
        raise NotFoundError(msg)


def _body(
    told: Mapping[str, Interval],
    released: Mapping[str, float],
    evaluation: Report,
    n: int,
    policy: MonitorPolicy,
) -> dict[str, Any]:
    metrics = {
        name: {"estimate": one.estimate, "low": one.low, "high": one.high, "released": released[name]}
        for name, one in told.items()
    }
    return metrics | {
        "released": float(evaluation.body["challenger"]["loss"]["estimate"]),
        "n": n,
        "level": policy.confidence,
        "evaluation": evaluation.report_id,
    }


def expect_cells(
    cells: Sequence[tuple[int, int]],
    evaluation: Report,
    calibration: Calibration,
    *,
    policy: MonitorPolicy,
    what: str,
    of: Version,
) -> dict[str, Any]:
    """Estimate what scores in the cells of a calibration come to, as :func:`expect_batch` tells it.

    :param what: whose scores they are, for the message.
    :raises NotFoundError: there are too few.
    """
    rows = sum(count for _, count in cells)
    _see_enough(rows, policy, what, of)
    told = estimate(cells, calibration, level=policy.confidence)
    return _body(told, calibration.released, evaluation, rows, policy) | {"by": "scores"}


def calibration_of(ledger: Ledger, champion: Version) -> tuple[Report, Calibration]:
    """Return what the scores of a model version turned out to be on its holdout, and the report that holds it.

    :raises NotFoundError: nobody knows.
    """
    task = _task(champion)
    if task not in _BY_SCORE:
        msg = f"{champion.ref} is a {task} model; from scores alone only {' and '.join(_BY_SCORE)} are estimated."
        raise NotFoundError(msg)
    evaluation, kept = _kept(ledger, champion)
    return evaluation, Calibration.from_dict(kept)


def _task(champion: Version) -> str:
    return str((champion.facts.get("spec") or {}).get("task", "foreign"))


def _kept(ledger: Ledger, champion: Version) -> tuple[Report, Mapping[str, Any]]:
    if (task := _task(champion)) not in LOSS_OF_TASK:
        msg = (
            f"{champion.ref} is a {task} model; without labels only {', '.join(LOSS_OF_TASK)} are estimated."
        )
        raise NotFoundError(msg)
    evaluation = ledger.reports.latest(
        asset=champion.asset, kind="evaluation", version_id=champion.version_id
    )
    kept = evaluation.body.get("calibration") if evaluation else None
    if evaluation is None or not kept or kept["task"] != task:
        why = f"report {evaluation.report_id} holds none" if evaluation else "it was never evaluated"
        said = "probabilities" if task == "multiclass" else "scores"
        msg = (
            f"{champion.ref} has no calibration of its {said}, {why}: evaluate it with ModelEvaluateOperator."
        )
        raise NotFoundError(msg)
    return evaluation, kept


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
    spec, target = window.champion.facts["spec"], quote_identifier(window.champion.facts["spec"]["target"])
    classes = spec["task"] == "multiclass"
    keys = ", ".join(map(quote_identifier, labels.keys))
    rows = warehouse.union(labels.parts, tuple(dict.fromkeys((*labels.keys, spec["target"]))))
    said = "probabilities" if classes else SCORE
    loss = row_loss_sql(LOSS_OF_TASK[spec["task"]], label="y", score=said)
    known = f"{said} IS NOT NULL" if classes else "l.label_read <> 'NaN'"
    # Of classes a rank says nothing, and sorting all rows for it takes time.
    place = f"""rank() OVER (ORDER BY {SCORE}) + (count(*) OVER (PARTITION BY {SCORE}) - 1) / 2.0"""
    more = ", label, probabilities" if classes else ""
    # A label read beside nothing but labels: its column may be called as one of the predictions.
    [found] = warehouse.query(
        f"""SELECT count(*) AS n, {_MEASURES[spec["task"]]} FROM (
              SELECT y, {SCORE}{more}, {loss} AS loss, {place if spec["task"] == "binary" else "0"} AS place
              FROM (SELECT l.label_read AS y, {SCORE}{more} FROM {window.part.relation.quoted} p
                    JOIN (SELECT {keys}, {target + "::text" if classes else number_sql(spec["target"])} AS label_read
                          FROM ({rows}) r WHERE {target} IS NOT NULL) l USING ({keys})
                    WHERE p.model_role = 'champion' AND p.{SCORE} <> 'NaN' AND {known}) joined) placed"""
    )
    measured = {name: float(value) for name, value in found.items() if name != "n" and value is not None}
    if (mean := measured.get("mean_squared_error")) is not None:
        measured["root_mean_squared_error"] = math.sqrt(mean)
    return measured | {"n": found["n"]}
