"""Predictions made elsewhere: what is taken of each, and what is refused before anything is written."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime  # noqa: TC003 - pydantic resolves annotations while running
from typing import TYPE_CHECKING, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from airflow_dataml.core.classes import named_few
from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

MOST_PREDICTIONS = 10_000
MOST_FEATURE_BYTES = 64 * 1024
LOG_COLUMNS = (
    Column("prediction_id", "text"),
    Column("predicted_at", "timestamp with time zone"),
    Column("model_version", "integer"),
    Column("score", "double precision"),
    Column("features", "jsonb"),
)
#: Of a model of classes, whose score is the probability of the predicted one.
CLASS_LOG_COLUMNS = (*LOG_COLUMNS, Column("label", "text"), Column("probabilities", "jsonb"))


class LoggedPrediction(BaseModel):
    """One prediction that a server of models made.

    :param prediction_id: names it for ever; a prediction of a known id is not taken again.
    :param predicted_at: when it was made, with its time zone.
    :param model_version: the model's number in the ledger.
    :param features: what the model was given, as far as it shall be kept.
    :param label: the class that a model of classes predicted; ``score`` is its probability.
    :param probabilities: of all its classes, by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prediction_id: str = Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")
    predicted_at: AwareDatetime
    model_version: int = Field(ge=1, lt=2**31)
    score: float = Field(allow_inf_nan=False)
    features: dict[str, JsonValue] | None = None
    label: str | None = None
    probabilities: dict[str, float] | None = None

    def row(self) -> tuple[str, datetime, int, float, str | None]:
        """Values in the order of ``LOG_COLUMNS``."""
        features = None if self.features is None else json.dumps(self.features)
        return (self.prediction_id, self.predicted_at, self.model_version, self.score, features)

    def class_row(self) -> tuple[str | datetime | float | None, ...]:
        """Values in the order of ``CLASS_LOG_COLUMNS``."""
        said = None if self.probabilities is None else json.dumps(self.probabilities)
        return (*self.row(), self.label, said)

    def wrong_class(self, classes: Collection[str]) -> str | None:
        """What is wrong about the class for a model with such classes, or with none.

        >>> made = {"prediction_id": "a", "predicted_at": "2026-01-01T00:00:00Z", "model_version": 1, "score": 0.5}
        >>> LoggedPrediction(**made, label="z").wrong_class(("a", "b"))
        "label is 'z', and the model's classes are 'a', 'b'"
        """
        known = named_few(list(classes))
        if not classes:
            given = self.label is not None or self.probabilities is not None
            return "label and probabilities are given, and the model has no classes" if given else None
        if self.label not in classes:
            return f"label is {self.label!r}, and the model's classes are {known}"
        if not 0 <= self.score <= 1:
            return f"score is {self.score:g}, and it is the probability of the label"
        said = self.probabilities or {}
        if strange := [n for n, p in said.items() if n not in classes or not 0 <= p <= 1]:
            return f"probabilities hold {strange[0]!r}: {said[strange[0]]:g}, and they are of {known}"
        return None


_BATCH = TypeAdapter(tuple[LoggedPrediction, ...])


def read_predictions(given: Any) -> tuple[LoggedPrediction, ...]:
    r"""Validate a batch as a whole.

    >>> row = {"prediction_id": "a", "predicted_at": "2026-01-01T00:00:00Z", "model_version": 1, "score": 0.5}
    >>> len(read_predictions([row]))
    1
    >>> read_predictions([row, row])
    Traceback (most recent call last):
    ...
    airflow_dataml.core.errors.SpecError: prediction id 'a' occurs twice in one batch; nothing was taken.

    :raises SpecError: it is no list, too long, or one of them is not understood; the first is named.
    """
    if not isinstance(given, list) or not given:
        msg = f"a batch is a list of at least one prediction, received {type(given).__name__}; nothing was taken."
        raise SpecError(msg)
    if len(given) > MOST_PREDICTIONS:
        msg = f"a batch has {MOST_PREDICTIONS:,} predictions at most, received {len(given):,}: send several."
        raise SpecError(msg)
    try:
        found = _BATCH.validate_python(given)
    except ValidationError as err:
        first = err.errors()[0]
        place, *where = first["loc"]
        name = ".".join(map(str, where))
        msg = f"prediction {place}{', ' + name if name else ''}: {first['msg']}; nothing was taken."
        raise SpecError(msg) from err
    _check(found)
    return found


def _check(found: Sequence[LoggedPrediction]) -> None:
    seen: set[str] = set()
    for place, one in enumerate(found):
        if one.prediction_id in seen:
            msg = f"prediction id {one.prediction_id!r} occurs twice in one batch; nothing was taken."
            raise SpecError(msg)
        seen.add(one.prediction_id)
        features = one.row()[4] or ""
        if len(features) > MOST_FEATURE_BYTES or "\\u0000" in features:
            msg = (
                f"prediction {place}, features: {len(features):,} bytes as JSON; send at most {MOST_FEATURE_BYTES:,}, "
                "and no null character. Nothing was taken."
            )
            raise SpecError(msg)


@dataclass(frozen=True, slots=True)
class Logged:
    """What became of a batch.

    :param dataset: where predictions of the model made elsewhere are kept.
    :param version: the version that brought them; the current one where all were known.
    """

    dataset: str
    version: str | None
    stored: int
    known: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)
