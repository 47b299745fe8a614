"""What MLflow takes at once, at most."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mlflow import MlflowClient

    from airflow_dataml.core.registry import ParamValue

_PARAMS_PER_BATCH = 100
_T = TypeVar("_T")


def log_params(
    client: MlflowClient, run_id: str, params: Mapping[str, ParamValue], tags: Mapping[str, str]
) -> None:
    """Log parameters and tags in as few calls as MLflow takes."""
    from mlflow.entities import Param, RunTag

    logged = list(chunks([Param(key, str(value)) for key, value in params.items()], _PARAMS_PER_BATCH))
    tagged = list(chunks([RunTag(key, value) for key, value in tags.items()], _PARAMS_PER_BATCH))
    for some, marks in zip_longest(logged, tagged, fillvalue=()):
        client.log_batch(run_id, params=some, tags=marks)


def chunks(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    """Yield items in runs of at most a size."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
