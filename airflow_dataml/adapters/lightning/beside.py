"""What a training has beside features and target: a teacher's scores and weights of rows, as tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from airflow_dataml.core.classes import aligned
from airflow_dataml.core.errors import TrainingSpecError
from airflow_dataml.core.features import as_numbers
from airflow_dataml.core.guidance import taught_classes, taught_column

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    from airflow_dataml.adapters.lightning.targets import Target
    from airflow_dataml.core.features import Column
    from airflow_dataml.core.training import TrainingSpec

    Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Beside:
    """The columns of a training file that are neither feature nor target.

    :param names: by what they are for.
    :param taught: the classes that the teacher's columns are of; none where it gives one score.
    """

    names: Mapping[str, tuple[str, ...]]
    taught: tuple[str, ...] = ()

    @classmethod
    def of(cls, header: Sequence[str], spec: TrainingSpec) -> Self:
        """Read which they are from a file's header; of a teacher of classes it may lack all."""
        names = {key: (name,) for key, name in spec.beside_columns.items()}
        if "teacher" not in names or spec.task != "multiclass":
            return cls(names)
        taught = taught_classes(header)
        return cls(names | {"teacher": tuple(map(taught_column, taught or ("",)))}, taught)

    @property
    def columns(self) -> tuple[str, ...]:
        """All of them, in order."""
        return tuple(name for names in self.names.values() for name in names)

    def shape(self, key: str, rows: int, target: Target) -> tuple[int, ...]:
        """Shape of the tensor that ``read`` gives for a key."""
        return (rows, len(target.classes)) if key == "teacher" and self.taught else (rows,)

    def read(
        self, columns: Mapping[str, Column], labels: Floats, target: Target, spec: TrainingSpec
    ) -> dict[str, Tensor]:
        """Return a block of them as tensors, a teacher in the scale of the target, or over all of its classes.

        :param labels: of the same rows; of classes their places.
        :raises TrainingSpecError: one is no number.
        """
        import torch

        found: dict[str, Any] = {}
        for key, names in self.names.items():
            values = [_finite(name, columns[name], spec) for name in names]
            found[key] = (
                values[0] if key != "teacher" or not self.taught else self._of_classes(values, labels, target)
            )
        if spec.task == "regression" and "teacher" in found:
            found["teacher"] = (found["teacher"] - target.mean) / target.std
        return {key: torch.from_numpy(values.astype("float32")) for key, values in found.items()}

    def _of_classes(self, values: Sequence[Floats], labels: Floats, target: Target) -> Floats:
        """Say of a row whose class the teacher never learnt what its label says: the teacher cannot know better."""
        import numpy as np

        found: Floats = aligned(np.stack(values, 1), self.taught, target.classes)
        places = labels.astype(np.int64)
        known = np.isin(target.classes, self.taught)
        strange = np.flatnonzero(~known[places])
        found[strange] = 0.0
        found[strange, places[strange]] = 1.0
        return found


def _finite(name: str, column: Column, spec: TrainingSpec) -> Floats:
    import numpy as np

    values = as_numbers(name, column)
    unusable = int(np.count_nonzero(~np.isfinite(values)))
    if unusable:
        msg = (
            f"column {name!r} of the training data of model {spec.model!r} is no number in {unusable} rows: "
            "leave distill and hard_examples out, or use another teacher."
        )
        raise TrainingSpecError(msg)
    return values
