"""What a training may take from versions that exist already: weights to begin with, a teacher, hard rows."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from airflow_dataml.core.refs import VersionRef

__all__ = [
    "START_FILE",
    "TEACHER_COLUMN",
    "WEIGHT_COLUMN",
    "Distillation",
    "HardRows",
    "VersionName",
    "ref_for",
]

TEACHER_COLUMN = "dataml_teacher"
WEIGHT_COLUMN = "dataml_weight"
START_FILE = "start.npz"


def ref_for(name: str, model: str) -> str:
    """Return how the ledger names a version that a spec names.

    >>> ref_for("champion", "late"), ref_for("late@3", "late")
    ('late@champion', 'late@3')
    """
    return name if "@" in name else f"{model}@{name}"


def _readable(name: str) -> str:
    VersionRef.parse(ref_for(name, "model"))
    return name


VersionName = Annotated[str, AfterValidator(_readable)]


class Distillation(BaseModel):
    """A teacher, whose scores of the training rows are learnt beside the labels.

    :param teacher: an alias of the model, or ``name@number``.
    :param weight: share of the loss that compares with the teacher; 1 ignores the labels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    teacher: VersionName = "champion"
    weight: float = Field(default=0.5, gt=0, le=1)


class HardRows(BaseModel):
    """Rows that count for more in the loss.

    :param dataset: the managed dataset that names them by key, or a version of it, ``name@number``.
    :param weight: how much such a row counts; every other row counts 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: Annotated[str, AfterValidator(lambda name: str(VersionRef.parse(name)))]
    weight: float = Field(default=3.0, gt=0, le=1000)
