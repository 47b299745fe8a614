"""What a training may take from versions that exist already: weights to begin with, a teacher, hard rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from airflow_dataml.core.refs import VersionRef

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "START_FILE",
    "TEACHER_COLUMN",
    "WEIGHT_COLUMN",
    "Distillation",
    "HardRows",
    "VersionName",
    "is_taught",
    "ref_for",
    "taught_classes",
    "taught_column",
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


def taught_column(name: str) -> str:
    """Return the column of a training file that holds what a teacher of classes says of one of them.

    >>> taught_column("on time")
    'dataml_teacher=on time'
    """
    return f"{TEACHER_COLUMN}={name}"


def is_taught(column: str) -> bool:
    """Whether a column of a training file is a teacher's.

    >>> [is_taught(name) for name in ("dataml_teacher", "dataml_teacher=a", "dataml_teachers")]
    [True, True, False]
    """
    return column == TEACHER_COLUMN or column.startswith(taught_column(""))


def taught_classes(header: Sequence[str]) -> tuple[str, ...]:
    """Return the classes that a training file has a teacher's probabilities of, in the order of its columns.

    >>> taught_classes(["km", "dataml_teacher=late", "dataml_teacher=on time"])
    ('late', 'on time')
    """
    begin = taught_column("")
    return tuple(name.removeprefix(begin) for name in header if name.startswith(begin))


def _readable(name: str) -> str:
    VersionRef.parse(ref_for(name, "model"))
    return name


VersionName = Annotated[str, AfterValidator(_readable)]


class Distillation(BaseModel):
    """A teacher, whose scores of the training rows are learnt beside the labels.

    Of ``multiclass`` these are its probabilities. The student tells apart what the rows hold and what the teacher
    knows; of a row whose class the teacher never learnt it can say nothing, so that row is learnt from its label.

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
