"""Classes of a model that tells more than two apart: their order, and what its probabilities say."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from airflow_dataml.core.extras import load
from airflow_dataml.core.features import CodedColumn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CLASS_LIMIT = 100
LEAST_PROBABILITY = 1e-7
_EXTRA = "mlflow"
_INTEGER = re.compile(r"-?\d+\Z")
_SHOWN = 10


def ordered_classes(values: Iterable[str]) -> tuple[str, ...]:
    """Return classes in the order of a model's outputs: integers by their size, anything else as text.

    >>> ordered_classes(["10", "9", "9"]), ordered_classes(["b", "10", "9"])
    (('9', '10'), ('10', '9', 'b'))
    """
    found = sorted(set(values))
    if all(_INTEGER.match(value) for value in found):
        found.sort(key=lambda value: (int(value), value))
    return tuple(found)


def classes_of(scorer: object) -> tuple[str, ...]:
    """Return the classes a scorer gives probabilities of; none where it gives one score per row."""
    return tuple(getattr(scorer, "classes", ()))


def codes_of(values: Sequence[str | None], classes: Sequence[str]) -> Any:
    """Return the place of each value among the classes, -1 where it is none of them.

    >>> codes_of(["b", "?", None], ("a", "b")).tolist()
    [1, -1, -1]
    """
    np = load("numpy", extra=_EXTRA)
    place: dict[str | None, int] = {value: code for code, value in enumerate(classes)}
    return np.fromiter((place.get(value, -1) for value in values), np.int64, len(values))


def top_of(probabilities: Any) -> tuple[Any, Any]:
    """Return the probability of the predicted class, and its place: the first of the most probable ones.

    >>> scores, codes = top_of([[0.1, 0.7, 0.2]])
    >>> scores.tolist(), codes.tolist()
    ([0.7], [1])
    """
    np = load("numpy", extra=_EXTRA)
    said = np.asarray(probabilities, dtype=float)
    codes = said.argmax(axis=1)
    return said[np.arange(len(said)), codes], codes


def one_score(scores: Any) -> Any:
    """Return one number per row: scores as they are, or the probability of the predicted class.

    >>> one_score([0.5]).tolist(), one_score([[0.1, 0.9]]).tolist()
    ([0.5], [0.9])
    """
    np = load("numpy", extra=_EXTRA)
    said = np.asarray(scores, dtype=float)
    return said if said.ndim == 1 else top_of(said)[0]


def aligned(probabilities: Any, classes: Sequence[str], onto: Sequence[str]) -> Any:
    """Return probabilities in the order of other classes; a class the model does not know has probability 0.

    >>> aligned([[0.25, 0.75]], ("a", "b"), ("b", "c", "a")).tolist()
    [[0.75, 0.0, 0.25]]
    """
    np = load("numpy", extra=_EXTRA)
    said = np.asarray(probabilities, dtype=float)
    found = np.zeros((len(said), len(onto)))
    for place, name in enumerate(onto):
        if name in classes:
            found[:, place] = said[:, list(classes).index(name)]
    return found


def class_log_losses(codes: Any, probabilities: Any) -> Any:
    """Log loss of every row: of the probability given to its own class, kept 1e-7 from 0.

    :param codes: places among the columns; -1 is a class the model does not know.

    >>> [round(float(x), 4) for x in class_log_losses([0, 1], [[0.5, 0.5], [1.0, 0.0]])]
    [0.6931, 16.1181]
    """
    np = load("numpy", extra=_EXTRA)
    truth, said = np.asarray(codes).astype(np.int64), np.asarray(probabilities, dtype=float)
    own = np.where(truth < 0, 0.0, said[np.arange(len(truth)), truth])
    return -np.log(np.clip(own, LEAST_PROBABILITY, 1.0))


def as_json(probabilities: Any, classes: Sequence[str]) -> list[str]:
    """Return each row as a JSON object of class and probability, with the digits a float32 has.

    >>> as_json([[0.25, 0.75]], ("a", "50 %"))
    ['{"a": 0.25, "50 %": 0.75}']
    """
    np = load("numpy", extra=_EXTRA)
    names = (json.dumps(name).replace("%", "%%") for name in classes)
    form = "{" + ", ".join(f"{name}: %.9g" for name in names) + "}"
    return [form % tuple(row) for row in np.asarray(probabilities, dtype=float).tolist()]


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What a model of classes says of rows, as it is written.

    :param scores: probability of the predicted class.
    :param labels: the predicted class.
    :param probabilities: of all classes, a JSON object each.
    """

    scores: Any
    labels: CodedColumn
    probabilities: CodedColumn

    @classmethod
    def of(cls, probabilities: Any, classes: Sequence[str]) -> Self:
        """Read probabilities ``[n, classes]``.

        >>> found = Answers.of([[0.25, 0.75]], ("a", "b"))
        >>> found.scores.tolist(), found.labels.to_objects().tolist(), found.probabilities.to_objects().tolist()
        ([0.75], ['b'], ['{"a": 0.25, "b": 0.75}'])
        """
        np = load("numpy", extra=_EXTRA)
        scores, codes = top_of(probabilities)
        known = np.isfinite(scores)
        return cls(
            scores,
            CodedColumn(codes=np.where(known, codes, -1), values=tuple(classes)),
            CodedColumn(
                codes=np.where(known, np.arange(len(scores)), -1), values=as_json(probabilities, classes)
            ),
        )

    def answered(self, rows: Any, other: Answers | None) -> Self:
        """Put another model's answers, or none, in the place of some rows'; the scores stay as they are.

        :param rows: their places.
        """
        labels, probabilities = (other.labels, other.probabilities) if other else (None, None)
        return replace(
            self,
            labels=_put(self.labels, rows, labels),
            probabilities=_put(self.probabilities, rows, probabilities),
        )

    def columns(self) -> dict[str, CodedColumn]:
        """The columns that predictions have beside the score."""
        return {"label": self.labels, "probabilities": self.probabilities}


def _put(column: CodedColumn, rows: Any, other: CodedColumn | None) -> CodedColumn:
    np = load("numpy", extra=_EXTRA)
    codes, more = column.codes.copy(), other.values if other else ()
    codes[rows] = np.where(other.codes < 0, -1, other.codes + len(column.values)) if other else -1
    return CodedColumn(codes=codes, values=(*column.values, *more))


def named_few(names: Sequence[str]) -> str:
    """Return names as text, the first ten of many.

    >>> named_few(["a", "b"])
    "'a', 'b'"
    """
    shown = ", ".join(repr(name) for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
