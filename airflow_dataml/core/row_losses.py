"""Losses of single rows in SQL: the same number that evaluation finds in Python, wherever labels are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataml.core.classes import LEAST_PROBABILITY

if TYPE_CHECKING:
    from airflow_dataml.core.evaluation import Loss

# Doubles, as in Python: 1 - 1e-7 as a decimal is another number, and one minus it differs in the tenth digit.
_LEAST = f"{LEAST_PROBABILITY!r}::double precision"


def row_loss_sql(metric: Loss, *, label: str, score: str) -> str:
    """SQL of one row's loss, equal to ``core.evaluation.row_losses``; null where that has no number.

    Probabilities are kept 1e-7 from 0 and, of two classes, from 1, so that no row weighs more than 16.2. Of several
    classes one that was never learnt has no probability, which counts as 0.

    :param label: SQL of a number; of several classes, of the text that names one.
    :param score: SQL of a double; of several classes, of the JSON object of all probabilities.

    >>> row_loss_sql("squared_error", label="y", score="said")
    "CASE WHEN y <> 'NaN' AND said <> 'NaN' THEN (y - said) ^ 2 END"
    """
    if metric == "multiclass_log_loss":
        own = f"least(coalesce(({score} ->> {label})::double precision, 0), 1)"
        return (
            f"CASE WHEN {label} IS NOT NULL AND {score} IS NOT NULL THEN -ln(greatest({_LEAST}, {own})) END"
        )
    loss = f"({label} - {score}) ^ 2"
    if metric == "log_loss":
        sure = f"greatest({_LEAST}, least(1 - {_LEAST}, {score}))"
        loss = f"-({label} * ln({sure}) + (1 - {label}) * ln(1 - {sure}))"
    # To PostgreSQL NaN is a number above all others, which the bounds would bring back among them.
    return f"CASE WHEN {label} <> 'NaN' AND {score} <> 'NaN' THEN {loss} END"
