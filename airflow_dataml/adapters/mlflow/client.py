"""MLflow's client, made with our limits and speaking in our errors."""

from __future__ import annotations

import logging
import os
import warnings
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import (
    ConnectionSpecError,
    DataMLError,
    MissingExtraError,
    NotFoundError,
    RegistryError,
    SpecError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow import MlflowClient

    from airflow_dataml.adapters.mlflow.uri import TrackingUri

_EXTRA = "mlflow"
_CHECK_TIMEOUT_S = 4
# MLflow reads these when it is imported or at each request; what a person has set stays.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # Its own handler writes to stderr, which Airflow shows as errors; through the root logger they keep their level.
    "MLFLOW_CONFIGURE_LOGGING": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # By default eight tries of two minutes each.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
}
_TALKATIVE = ("alembic", "mlflow.store.db.utils")  # some hundred lines per migration
_REFUSED = frozenset({"INVALID_PARAMETER_VALUE", "INVALID_STATE", "RESOURCE_ALREADY_EXISTS"})
_UNKNOWN = frozenset({"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "ENDPOINT_NOT_FOUND"})
_FORBIDDEN = frozenset({"PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"})


def prepare(uri: TrackingUri) -> None:
    """Import MLflow with our environment; costs about two seconds the first time.

    :raises MissingExtraError: MLflow is not installed.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    logging.getLogger("psycopg").addFilter(_without_echo)
    for logger in map(logging.getLogger, _TALKATIVE):
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.WARNING)
    try:
        import_module("mlflow")
        if uri.kind == "postgres":
            with warnings.catch_warnings():
                # MLflow's mappers still name a loader that SQLAlchemy 2.1 is about to drop.
                warnings.filterwarnings("ignore", message=".*noload", category=DeprecationWarning)
                import_module("mlflow.store.tracking.sqlalchemy_store")
    except ModuleNotFoundError as err:
        raise MissingExtraError(_EXTRA, err.name or _EXTRA) from err


def _without_echo(record: logging.LogRecord) -> bool:
    """Drop the driver's second word on an error that is raised anyway.

    MLflow provokes one whenever a retried task logs a point again, and handles it.
    """
    return not record.getMessage().startswith("error ignored terminating")


def connect(uri: TrackingUri) -> MlflowClient:
    """Open a client on one store, leaving MLflow's process-wide tracking uri alone."""
    prepare(uri)
    from mlflow import MlflowClient

    with answers(uri):
        return MlflowClient(tracking_uri=uri.text, registry_uri=uri.text)


def spare_engine(client: MlflowClient) -> Any | None:
    """Return the engine of a client's own store; ``None`` where it keeps no two connections, or has none of its own."""
    store: Any = getattr(getattr(client, "_tracking_client", None), "store", None)
    engine = getattr(store, "engine", None)
    size = getattr(getattr(engine, "pool", None), "size", None)
    return engine if callable(size) and size() > 1 else None


def check_server(uri: TrackingUri) -> None:
    """Ask an MLflow server for one experiment, once, without MLflow's retries."""
    prepare(uri)
    from mlflow.utils import credentials, rest_utils

    rest: Any = rest_utils
    creds: Any = credentials
    with answers(uri):
        response = rest.http_request(
            creds.get_default_host_creds(uri.text),
            "/api/2.0/mlflow/experiments/search",
            "POST",
            json={"max_results": 1},
            timeout=_CHECK_TIMEOUT_S,
            max_retries=0,
            raise_on_status=False,
        )
    if response.status_code in {401, 403}:
        msg = f"the MLflow server {uri.shown} refused the login (HTTP {response.status_code}): check the connection."
        raise ConnectionSpecError(msg)
    if response.status_code != 200:
        raise _silent(uri, f"HTTP {response.status_code}")


@contextmanager
def answers(uri: TrackingUri) -> Iterator[None]:
    """Translate what MLflow and the drivers below it raise into our errors."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except MlflowException as err:
        raise _translated(uri, err.error_code, uri.scrub(str(err.message))) from err
    except (SQLAlchemyError, OSError) as err:
        raise _silent(uri, uri.scrub(str(err))) from err


def _translated(uri: TrackingUri, code: Any, said: str) -> DataMLError:
    if code in _UNKNOWN:
        return NotFoundError(f"MLflow at {uri.shown} does not know it: {said}")
    if code in _REFUSED:
        return SpecError(f"MLflow at {uri.shown} refused the request: {said}")
    if code in _FORBIDDEN:
        return ConnectionSpecError(f"MLflow at {uri.shown} refused the login: {said}")
    return _silent(uri, said)


def _silent(uri: TrackingUri, said: str) -> RegistryError:
    first = said.strip().split("\n")[0]
    return RegistryError(
        f"MLflow at {uri.shown} did not answer: {first}. Check that it runs, and its connection."
    )
