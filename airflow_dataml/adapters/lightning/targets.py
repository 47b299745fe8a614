"""The target of a training: numbers, or classes that are numbered in a fixed order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_dataml.core.classes import CLASS_LIMIT, named_few, ordered_classes
from airflow_dataml.core.errors import TrainingSpecError
from airflow_dataml.core.features import as_coded, as_numbers
from airflow_dataml.core.moments import Moments

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from airflow_dataml.core.features import Column
    from airflow_dataml.core.training import TrainingSpec

    Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Target:
    """What was learnt about the target from the training rows; a regression is trained on (y - mean) / std.

    :param classes: of ``multiclass``, in the order of the model's outputs; a label is the place of its class.
    :param taught: those of them that a teacher knows, in the order of its probabilities.
    """

    mean: float
    std: float
    classes: tuple[str, ...] = ()
    taught: tuple[str, ...] = ()


class LabelReader:
    """Reads the target column, in one block or several; classes have their number once all are known.

    :param taught: classes that a teacher knows, which the model then tells apart too.
    """

    def __init__(self, spec: TrainingSpec, *, taught: Sequence[str] = ()) -> None:
        self._spec = spec
        self._taught = tuple(taught)
        self._seen: dict[str, int] = {}

    def read(self, column: Column) -> Floats:
        """Return the labels of a block, NaN where missing; classes are numbered as they come.

        :raises TrainingSpecError: a label is no number, or there are too many classes.
        """
        import numpy as np

        if self._spec.task != "multiclass":
            return as_numbers(self._spec.target, column)
        coded = as_coded(column)
        used = set(np.unique(coded.codes).tolist())
        for code, value in enumerate(coded.values):
            if code in used:
                self._seen.setdefault(value, len(self._seen))
        if len(self._seen) > CLASS_LIMIT:
            msg = (
                f"target {self._spec.target!r} has more than {CLASS_LIMIT} classes, such as {named_few(list(self._seen))}; "
                "train on a column that groups them, or use task: regression where they are numbers with a meaning."
            )
            raise TrainingSpecError(msg)
        numbers = np.array([*(self._seen.get(value, np.nan) for value in coded.values), np.nan], dtype=float)
        return numbers.take(coded.codes, mode="wrap")

    def settle(self, labels: Floats, *, step: int) -> tuple[str, ...]:
        """Number the classes in their fixed order, in place; return them, or nothing where labels are numbers.

        :param step: rows that are renumbered together.
        :raises TrainingSpecError: a teacher knows none of them, or brings too many.
        """
        import numpy as np

        self._check_teacher()
        classes = ordered_classes([*self._seen, *self._taught])
        place = {name: code for code, name in enumerate(classes)}
        renumbered = np.array([float(place[name]) for name in self._seen])
        for start in range(0, len(labels) if classes else 0, step):
            part = labels[start : start + step]
            known = ~np.isnan(part)
            part[known] = renumbered[part[known].astype(np.int64)]
        return classes

    def _check_teacher(self) -> None:
        spec, own, taught = self._spec, ordered_classes(self._seen), self._taught
        who = f"teacher {spec.distill.teacher!r}" if spec.distill else "the teacher"
        if taught and not set(own) & set(taught):
            msg = (
                f"{who} of model {spec.model!r} tells {named_few(taught)} apart, and of the classes of target {spec.target!r}, "
                f"{named_few(own)}, it knows none: name another teacher, or leave distill out."
            )
            raise TrainingSpecError(msg)
        if len({*own, *taught}) > CLASS_LIMIT:
            msg = (
                f"target {spec.target!r} and {who} have {len({*own, *taught})} classes together, and at most {CLASS_LIMIT} can "
                "be learnt: leave distill out, or train on a column that groups them."
            )
            raise TrainingSpecError(msg)


def examine(
    spec: TrainingSpec,
    labels: Floats,
    train_rows: int,
    *,
    step: int,
    classes: tuple[str, ...] = (),
    taught: tuple[str, ...] = (),
) -> Target:
    """Refuse labels that cannot be learnt, and return what the training rows say about the target.

    :param step: rows that are looked at together; all of them give the mean and deviation of numpy to the bit.
    """
    import numpy as np

    parts = [labels[start : start + step] for start in range(0, len(labels), step)]
    unusable = sum(int(np.count_nonzero(~np.isfinite(part))) for part in parts)
    if unusable:
        msg = (
            f"target {spec.target!r} is missing or infinite in {unusable} of {len(labels)} rows; "
            "leave rows without a label out of the training dataset."
        )
        raise TrainingSpecError(msg)
    known = labels[:train_rows]
    if known.min() == known.max():
        only = repr(classes[int(known[0])]) if classes else f"{known[0]:g}"
        msg = (
            f"target {spec.target!r} is {only} in all {train_rows} training rows, so there is nothing to learn; "
            "check the dataset version, its filter and validation_fraction."
        )
        raise TrainingSpecError(msg)
    for part in parts if spec.task == "binary" else ():
        strange = part[~np.isin(part, (0.0, 1.0))]
        if strange.size:
            msg = f"target {spec.target!r} holds {strange[0]:g}, but task 'binary' wants 0 and 1; use task: regression or cast it."
            raise TrainingSpecError(msg)
    if classes:
        return Target(0.0, 1.0, classes, taught)
    moments = Moments()
    for start in range(0, train_rows, step):
        moments.add(known[start : start + step])
    return Target(mean=moments.mean, std=moments.std)


def goal_of(labels: Floats, target: Target, spec: TrainingSpec) -> npt.NDArray[np.generic]:
    """Return labels as the module sees them: float32, or int64 for classes."""
    if spec.task == "multiclass":
        return labels.astype("int64")
    scaled = (labels - target.mean) / target.std if spec.task == "regression" else labels
    return scaled.astype("float32")


def untrained_classes(labels: Floats, target: Target, train_rows: int) -> tuple[str, ...]:
    """Return the classes that only validation rows have, and no teacher knows: the model has their names alone."""
    import numpy as np

    if not target.classes:
        return ()
    counts = np.bincount(labels[:train_rows].astype(np.int64), minlength=len(target.classes))
    return tuple(
        name
        for name, count in zip(target.classes, counts.tolist(), strict=True)
        if not count and name not in target.taught
    )
