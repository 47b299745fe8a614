"""Estimated counts: what the holdout teaches of losses and classes, and a batch's rows in the cells of that."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.classes import codes_of
from airflow_dataml.core.estimation_classes import ClassCalibration
from airflow_dataml.core.extras import load
from airflow_dataml.core.features import as_coded, as_numbers
from airflow_dataml.core.loss_terms import fit_losses
from airflow_dataml.core.refs import number_sql, quote_identifier
from airflow_dataml.core.statistics import squared_errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.core.estimation_losses import Binned, Counts, LossModel
    from airflow_dataml.core.ports import Ledger, Warehouse
    from airflow_dataml.steps.observing import Window

# No feature is called so: a name in brackets is not asked of any dataset.
SCORE = "(score)"
# A CSV file of booleans spells them with one letter, and the database with the word.
_FLAGS = {"t": "true", "f": "false"}


def loss_columns(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns of the holdout that a loss is estimated from: the features of a regression."""
    return tuple(one["name"] for one in spec["features"]) if spec["task"] == "regression" else ()


def fit_loss_model(
    spec: Mapping[str, Any], labels: Any, scores: Any, columns: Mapping[str, Any]
) -> LossModel | None:
    """Learn from a holdout how wrong a regression is with which features; ``None`` of other models, and of few rows.

    :param columns: those of :func:`loss_columns`, ``[n]`` each.
    """
    np = load("numpy", extra="monitoring")
    if spec["task"] != "regression":
        return None
    read: dict[str, Any] = {}
    for feature in spec["features"]:
        name, column = feature["name"], columns[feature["name"]]
        if feature["kind"] == "numeric":
            read[name] = as_numbers(name, column)
        else:
            spelled = as_coded(column).to_objects().tolist()
            read[name] = np.array([_FLAGS.get(one, one) for one in spelled], dtype=object)
    said = np.asarray(scores, dtype=float)
    return fit_losses(losses=squared_errors(labels, said), columns=read | {SCORE: said})


def fit_classes(labels: Sequence[str], probabilities: Any, classes: Sequence[str]) -> ClassCalibration | None:
    """Learn from a holdout how often which probability of a class comes true; ``None`` where a model tells no classes."""
    if not classes:
        return None
    return ClassCalibration.fit(
        labels=codes_of(labels, classes), probabilities=probabilities, classes=classes
    )


def class_counts(
    warehouse: Warehouse, window: Window, calibration: ClassCalibration
) -> list[tuple[str, bool, int, int]]:
    """Count the champion's probabilities of a batch in the cells of a calibration, in one pass of the database."""
    found = warehouse.query(
        f"""SELECT k.key AS name, coalesce(k.key = p.label, false) AS top,
                   width_bucket(k.value::double precision, %s::double precision[]) AS cell, count(*) AS n
            FROM {window.part.relation.quoted} p CROSS JOIN LATERAL jsonb_each_text(p.probabilities) k
            WHERE p.model_role = 'champion' AND k.value IS NOT NULL GROUP BY 1, 2, 3""",
        [list(calibration.edges)],
    )
    return [(row["name"], row["top"], row["cell"], row["n"]) for row in found]


def loss_counts(ledger: Ledger, warehouse: Warehouse, window: Window, model: LossModel) -> Counts:
    """Count a batch's rows in the bins of a loss model and the cells of its pairs, in one pass of the database."""
    columns = [column.name for column in ledger.versions.columns(window.predictions.version_id)]
    keys = columns[: columns.index("model_role")]
    names = [one.name for one in model.features]
    own = ", ".join(quote_identifier(key) for key in keys)
    same = " AND ".join(f"p.{quote_identifier(key)} = s.{quote_identifier(key)}" for key in keys)
    rows = warehouse.union(
        window.features_parts, tuple(dict.fromkeys((*keys, *(one for one in names if one != SCORE))))
    )
    places = range(len(names))
    asked = [f"{bin_sql(model.features[at])} AS c{at}" for at in places if names[at] != SCORE]
    # A row that is not there any more has no feature.
    shown = ", ".join(f"p.c{at}" if names[at] == SCORE else f"coalesce(s.c{at}, 0) AS c{at}" for at in places)
    score = f"{bin_sql(replace(model.features[-1], name='score'))} AS c{places[-1]}"
    sets = ", ".join("(" + ", ".join(f"c{at}" for at in block) + ")" for block in model.blocks)
    every = ", ".join(f"c{at}" for at in places)
    found = warehouse.query(
        f"""SELECT {every}, count(*) AS n FROM (
              SELECT {shown} FROM (SELECT {own}, {score} FROM {window.part.relation.quoted}
                                   WHERE model_role = 'champion' AND score IS NOT NULL AND score <> 'NaN') p
              LEFT JOIN (SELECT {", ".join([own, *asked])} FROM ({rows}) r) s ON {same} OFFSET 0) coded
            GROUP BY GROUPING SETS ({sets})"""
    )
    return tuple(_count(row, len(names)) for row in found)


def _count(row: Mapping[str, Any], features: int) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """One row of grouping sets: the features it is grouped by, their bins, and how many rows."""
    block = tuple(at for at in range(features) if row[f"c{at}"] is not None)
    return block, tuple(row[f"c{at}"] for at in block), row["n"]


def bin_sql(feature: Binned) -> str:
    """SQL of the bin that a feature's value is in, never null; the numbers are those of ``Binned.codes``."""
    if feature.edges is None:
        text = f"{quote_identifier(feature.name)}::text"
        read = f"CASE {text} WHEN 't' THEN 'true' WHEN 'f' THEN 'false' ELSE {text} END"
        known = f"ARRAY[{', '.join(map(_text, feature.values))}]::text[]"
        return f"CASE WHEN {text} IS NULL THEN 0 ELSE coalesce(array_position({known}, {read}), {feature.bins - 1}) END"
    number = number_sql(feature.name)
    edges = f"ARRAY[{', '.join(map(repr, feature.edges))}]::double precision[]"
    place = f"width_bucket({number}, {edges}) + 1" if feature.edges else "1"
    return f"CASE WHEN abs({number}) < 'Infinity' THEN {place} ELSE 0 END"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
