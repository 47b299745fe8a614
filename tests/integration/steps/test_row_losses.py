"""The loss of a row in SQL against the same loss in Python, on the edge."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.core.classes import codes_of
from airflow_dataml.core.evaluation import row_losses
from airflow_dataml.core.extras import load
from airflow_dataml.core.row_losses import row_loss_sql

if TYPE_CHECKING:
    from airflow_dataml.core.evaluation import Loss

pytestmark = pytest.mark.integration
np = load("numpy", extra="monitoring")
SCORES = (0.0, 1.0, 1e-9, 1e-7, 0.25, 0.5, 1 - 1e-7, 1 - 1e-9, -0.5, 1.5, None, float("nan"))
LABELS = (0.0, 1.0, 0.3, None, float("nan"))
PAIRS = [(label, score) for label in LABELS for score in SCORES]


def asked(dsn: str, formula: str, kinds: tuple[str, str], pairs: list[tuple[Any, Any]]) -> list[float | None]:
    with Connection(dsn) as connection:
        rows = connection.rows(
            f"""SELECT {formula} AS loss FROM unnest(%s::{kinds[0]}[], %s::{kinds[1]}[])
                WITH ORDINALITY AS rows (y, said, place) ORDER BY place""",
            [list(side) for side in zip(*pairs, strict=True)],
        )
    return [row["loss"] for row in rows]


def same(found: list[float | None], expected: Any) -> None:
    """Null is where Python has no number."""
    read = np.array([np.nan if one is None else one for one in found])
    assert not any(one is not None and np.isnan(one) for one in found)
    np.testing.assert_allclose(read, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("metric", ["log_loss", "squared_error"])
def test_a_loss_in_sql_is_that_in_python(postgres_dsn: str, metric: Loss) -> None:
    formula = row_loss_sql(metric, label="y", score="said")
    found = asked(postgres_dsn, formula, ("float8", "float8"), PAIRS)
    labels, scores = (np.array(side, dtype=float) for side in zip(*PAIRS, strict=True))
    same(found, row_losses(metric, labels, scores))


def test_a_loss_of_classes_in_sql_is_that_in_python(postgres_dsn: str) -> None:
    classes = ("a", 'it\'s "b" 100 %', "0")
    said = [[0.0, 1.0, 0.0], [1e-9, 0.5, 0.5 - 1e-9], [1.0, 0.0, 0.0], [0.2, 0.3, 0.5]]
    pairs = [(name, row) for name in (*classes, "never learnt") for row in said]
    texts = [(name, json.dumps(dict(zip(classes, row, strict=True)))) for name, row in pairs]
    formula = row_loss_sql("multiclass_log_loss", label="y", score="said")
    found = asked(postgres_dsn, formula, ("text", "jsonb"), texts)
    codes = codes_of([name for name, _ in pairs], classes)
    same(found, row_losses("multiclass_log_loss", codes, [row for _, row in pairs]))


def test_classes_without_a_label_or_an_answer_have_no_loss(postgres_dsn: str) -> None:
    formula = row_loss_sql("multiclass_log_loss", label="y", score="said")
    pairs = [(None, '{"a": 1}'), ("a", None), ("a", '{"a": null}')]
    found = asked(postgres_dsn, formula, ("text", "jsonb"), pairs)
    assert found[:2] == [None, None]
    assert found[2] == pytest.approx(-np.log(1e-7))
