"""The one door to soda-core: imported without its side effects, run without its shared state.

Importing soda-core 4.28 reads a ``.env`` file up the folder tree and, unless told otherwise, replaces the
process's OpenTelemetry tracer provider by one that reports to its maker. Running it parses YAML with one
parser shared by all threads, and takes every ERROR that any library logs for its own failure. Its
``configure_logging`` points stderr at stdout and is never called here.

Cost of the import, measured on two shared cores, once per process: 0.4 s and 28 MiB beyond psycopg and
pydantic; 1 s where the disk is cold.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_dataml.core.errors import MissingExtraError
from airflow_dataml.core.refs import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from airflow_dataml.adapters.soda.caller import CallerConnection

EXTRA = "soda"
_LOCK = threading.RLock()
_LOGGERS = ("soda", "soda_core", "soda_postgres")
_running = 0


class Outcome(NamedTuple):
    """What Soda answered.

    :param result: its ``CheckCollectionResult``.
    :param errors: what its own loggers called an error, in order.
    """

    result: Any
    errors: tuple[str, ...]


class OwnRecords:
    """Log records of Soda alone; stands in for its collector, which takes everybody's."""

    def __init__(self) -> None:
        self.logs: list[logging.LogRecord] = []

    def emit(self, log_record: logging.LogRecord) -> None:
        """Keep a record if Soda wrote it."""
        if log_record.name.split(".")[0] in _LOGGERS:
            self.logs.append(log_record)

    def get_all_logs(self) -> list[logging.LogRecord]:
        """Every record of Soda's."""
        return self.logs

    def get_error_logs(self) -> list[logging.LogRecord]:
        """Soda's errors."""
        return [record for record in self.logs if record.levelno >= logging.ERROR]

    def records_for_failure_report(self) -> list[logging.LogRecord]:
        """Every record of Soda's; asked for by its cloud client alone."""
        return self.logs

    def close(self) -> None:
        """Nothing to release."""


def prepare() -> None:
    """Import soda-core with telemetry off and without reading a ``.env`` file.

    :raises MissingExtraError: the extra ``soda`` is not installed.
    """
    with _LOCK:
        # It warns about classes of its own, which a host that treats warnings as errors would die of.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"soda_(core|postgres)\b")
        os.environ["SODA_CORE_TELEMETRY_ENABLED"] = "false"
        # It prints a table of two hundred lines; our report says the same in one.
        talkative = logging.getLogger("soda")
        if talkative.level == logging.NOTSET:
            talkative.setLevel(logging.WARNING)
        try:
            with _environment(PYTHON_DOTENV_DISABLED="1"):
                for package in ("soda_core", "soda_postgres"):
                    importlib.import_module(package)
        except ImportError as err:
            raise MissingExtraError(EXTRA, err.name or "soda_core") from err


def run_soda(
    text: str, *, connection: CallerConnection, variables: Mapping[str, Any], data_timestamp: datetime | None
) -> Outcome:
    """Verify one contract; several threads may do so at once.

    :param text: the contract, its dataset already pointing at the table to read.
    """
    from soda_core.common.logs import Logs
    from soda_core.common.yaml import ContractYamlSource
    from soda_core.contracts.contract_verification import ContractVerificationSession

    source = ContractYamlSource.from_str(text)
    with _LOCK:
        parsed = source.parse()
    source.parse = lambda: parsed
    with _capturing():
        logs = Logs(gatherer=OwnRecords())
        try:
            session = ContractVerificationSession.execute(
                contract_yaml_sources=[source],
                data_source_impls=[_data_source(connection)],
                variables=dict(variables),
                data_timestamp=data_timestamp.isoformat() if data_timestamp is not None else None,
                logs=logs,
            )
        finally:
            logs.close()
    return Outcome(session.contract_verification_results[0], tuple(logs.get_errors()))


def _data_source(connection: CallerConnection) -> Any:
    from soda_core.common.data_source_connection import DataSourceConnection
    from soda_postgres.common.data_sources.postgres_data_source import PostgresDataSourceImpl
    from soda_postgres.common.data_sources.postgres_data_source_connection import (
        PostgresDataSource,
        PostgresDataSourceConnection,
    )

    name = connection.name
    # Only the base class takes an open connection; the Postgres one insists on making its own.
    opened = PostgresDataSourceConnection.__new__(PostgresDataSourceConnection)
    DataSourceConnection.__init__(opened, name, None, connection=connection)
    model = PostgresDataSource.model_construct(name=name, type="postgres", connection_properties=None)
    source = PostgresDataSourceImpl(model, connection=opened)
    # It puts quotes around a name and leaves those inside as they are, so that a name could end early.
    source.sql_dialect.quote_default = lambda name: quote_identifier(name) if name else None
    return source


@contextmanager
def _capturing() -> Iterator[None]:
    """Take Soda's handler off the root logger when its last verification ends."""
    global _running  # noqa: PLW0603 - counts the threads inside
    with _LOCK:
        _running += 1
    try:
        yield
    finally:
        with _LOCK:
            _running -= 1
            if not _running:
                logs = sys.modules["soda_core.common.logs"]
                for handler in [h for h in logging.root.handlers if isinstance(h, logs._RootCapturer)]:
                    logging.root.removeHandler(handler)


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
