from __future__ import annotations

import pickle

import pytest

from airflow_dataml.core import errors
from airflow_dataml.core.errors import DataMLError, GateError, MissingExtraError, NotFoundError

RETRYABLE = {
    "BackendError",
    "LedgerError",
    "WarehouseError",
    "QualityEngineError",
    "RegistryError",
    "TrainingCrashedError",
}
CLASSES = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, DataMLError)]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
def test_every_class_is_in_the_tree_that_is_drawn(cls: type[DataMLError]) -> None:
    assert f"  {cls.__name__}" in str(errors.__doc__)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
def test_only_what_a_retry_can_heal_is_a_backend_error(cls: type[DataMLError]) -> None:
    assert issubclass(cls, errors.BackendError) == (cls.__name__ in RETRYABLE)


@pytest.mark.parametrize(
    "error",
    [GateError("refused", {"rows": 3}), MissingExtraError("soda", "soda_core"), NotFoundError("gone")],
    ids=lambda e: type(e).__name__,
)
def test_errors_survive_pickling(error: DataMLError) -> None:
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


def test_a_hint_names_the_closest() -> None:
    error = NotFoundError.from_available("column", "distence", ["distance", "hour"])
    assert str(error) == "column 'distence' does not exist. Did you mean 'distance'? Known: distance, hour."
