"""Attribution: a model's features shuffled, and hidden one by one, on rows that were read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.classes import classes_of, one_score, top_of
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.evaluation import row_losses
from airflow_dataml.core.explanation import (
    METHOD,
    METHOD_OF_ONE,
    Encoded,
    attributions,
    extremes_of,
    groups_of,
    typical_values,
)
from airflow_dataml.core.extras import load
from airflow_dataml.core.features import CodedColumn, as_coded
from airflow_dataml.core.statistics import bootstrap_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.core.evaluation import Loss
    from airflow_dataml.core.explanation import Attribution, ExplanationSpec, Permuter
    from airflow_dataml.core.features import Column
    from airflow_dataml.core.ports import Scorer

_EXTRA = "monitoring"


@dataclass(frozen=True, slots=True)
class Case:
    """The rows a model is explained on.

    :param kinds: of the features, in the order of the training.
    :param keys: columns that name a row.
    :param scores: of the rows as they are; of classes ``[n, classes]``.
    :param labels: numbers; of classes their places, -1 where the model does not know one.
    :param holdout_rows: how many rows these were drawn from.
    """

    scorer: Scorer
    metric: Loss
    kinds: Mapping[str, str]
    columns: Mapping[str, Column]
    keys: Mapping[str, Sequence[Any]]
    labels: Any
    scores: Any
    holdout_rows: int


def explain_case(case: Case, spec: ExplanationSpec, permuter: Permuter) -> dict[str, Any]:
    """Explain a model on rows: over all of them, over each slice, and for single predictions.

    :raises SpecError: predictions are to be explained, and the scorer does not know its training rows.
    """
    if spec.extremes and not isinstance(case.scorer, Encoded):
        msg = "this scorer does not say what its training rows looked like, so no prediction can be explained: give extremes=0."
        raise SpecError(msg)
    np = load("numpy", extra=_EXTRA)
    # Coded once, for a shuffled code costs less than a shuffled text.
    columns = {
        name: as_coded(column) if case.kinds[name] == "categorical" else column
        for name, column in case.columns.items()
    }
    everything = np.arange(len(case.labels))
    slices = []
    for name in spec.slices:
        for value, rows in groups_of(name, columns[name], kind=case.kinds[name]):
            measured = len(rows) >= spec.min_rows
            found = _attribute(case, columns, rows, spec, permuter) if measured else ()
            slices.append(
                {
                    "column": name,
                    "value": value,
                    "rows": len(rows),
                    "loss": _loss(case, rows, spec),
                    "verdict": "pass" if measured else "unknown",
                    "features": [one.to_dict() for one in found],
                }
            )
    return {
        "method": METHOD,
        "metric": case.metric,
        "rows": len(everything),
        "holdout_rows": case.holdout_rows,
        "loss": _loss(case, everything, spec),
        "features": [one.to_dict() for one in _attribute(case, columns, everything, spec, permuter)],
        "slices": slices,
        "predictions": _predictions(case, spec),
    }


def _loss(case: Case, rows: Any, spec: ExplanationSpec) -> dict[str, Any]:
    losses = row_losses(case.metric, case.labels[rows], case.scores[rows])
    return bootstrap_mean(losses, level=spec.confidence).to_dict()


def _attribute(
    case: Case, columns: Mapping[str, Any], rows: Any, spec: ExplanationSpec, permuter: Permuter
) -> tuple[Attribution, ...]:
    within = {name: _take(column, rows) for name, column in columns.items()}
    labels = case.labels[rows]

    def loss_of(place: Any) -> float:
        shuffled = {name: _take(within[name], place[:, at]) for at, name in enumerate(within)}
        return float(row_losses(case.metric, labels, case.scorer.score(shuffled)).mean())

    growth = permuter(
        loss_of=loss_of,
        rows=len(rows),
        features=len(within),
        repeats=spec.repeats,
        seed=spec.seed,
    )
    return attributions(dict(zip(within, growth, strict=True)), level=spec.confidence)


def _take(column: Any, places: Any) -> Any:
    if isinstance(column, CodedColumn):
        return CodedColumn(codes=column.codes[places], values=column.values)
    return column[places]


def _predictions(case: Case, spec: ExplanationSpec) -> list[dict[str, Any]]:
    """What each extreme score owes to each feature: the score less that with a typical value in its place.

    Rows are named by their key, so that no value of theirs is copied into the ledger.
    """
    said = one_score(case.scores)
    chosen = extremes_of(said, spec.extremes)
    if not chosen or not isinstance(case.scorer, Encoded):
        return []
    places = [place for place, _ in chosen]
    rows = {name: [values[place] for place in places] for name, values in case.columns.items()}  # type: ignore[index]  # read as arrays
    occluded = occluded_scores(case.scorer, rows)
    found = []
    for number, (place, end) in enumerate(chosen):
        score = float(said[place])
        owed = {name: score - float(scores[number]) for name, scores in occluded.items()}
        found.append(
            {
                "method": METHOD_OF_ONE,
                "key": {name: str(column[place]) for name, column in case.keys.items()},
                "end": end,
                "score": score,
                **_told(case, place),
                "features": [
                    {"feature": name, "contribution": value}
                    for name, value in sorted(owed.items(), key=lambda item: (-abs(item[1]), item[0]))
                ],
            }
        )
    return found


def _told(case: Case, place: int) -> dict[str, Any]:
    """The label of a row; of classes by name, beside the class that is predicted."""
    classes = classes_of(case.scorer)
    if not classes:
        return {"label": float(case.labels[place])}
    label, code = int(case.labels[place]), int(case.scores[place].argmax())
    return {"label": classes[label] if label >= 0 else None, "predicted": classes[code]}


def occluded_scores(scorer: Scorer, columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Scores of rows with each feature in turn hidden: a value typical of the training stands in its place.

    Of classes, it is the probability of the class that is predicted for the row as it is.

    :param columns: the model's features; every value is scored once more for each of them.
    :raises SpecError: the scorer does not know its training rows.
    """
    if not isinstance(scorer, Encoded):
        msg = (
            "this scorer does not say what its training rows looked like, so no prediction can be explained."
        )
        raise SpecError(msg)
    typical = typical_values(scorer.encoding)
    found = {
        hidden: scorer.score(
            {
                name: [typical.get(name)] * len(values) if name == hidden else values
                for name, values in columns.items()
            }
        )
        for hidden in columns
    }
    if not classes_of(scorer):
        return found
    np = load("numpy", extra=_EXTRA)
    codes = top_of(scorer.score(columns))[1]
    return {hidden: said[np.arange(len(codes)), codes] for hidden, said in found.items()}
