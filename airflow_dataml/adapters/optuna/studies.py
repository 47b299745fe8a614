"""Where studies are kept: Optuna's own tables, in a schema of their own, in a Postgres database."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.optuna.schema import EXTRA, check_schema_name, state_of
from airflow_dataml.adapters.optuna.study import OptunaStudy, trial_of
from airflow_dataml.core.errors import BackendError, ConflictError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from airflow_dataml.core.tuning import TuningSpec
    from airflow_dataml.core.tuning_trials import Trial

_CONNECT_TIMEOUT_S = 5
_LOCK_TIMEOUT_S = 120
_DIALECT = "postgresql+psycopg://"


class OptunaStudies:
    """Studies in a Postgres database.

    :param dsn: libpq connection string.
    :param schema: Optuna's own; shared with Airflow, MLflow or anything else it is refused before any write.
    """

    def __init__(self, dsn: str, *, schema: str = "optuna") -> None:
        self._dsn = dsn
        self._schema = check_schema_name(schema)

    def __repr__(self) -> str:
        return f"OptunaStudies(schema={self._schema!r})"

    def check(self) -> None:
        """Return when the tables are there and Optuna's; makes them in an empty schema, once, in about a second."""
        with self._connect() as connection:
            if state_of(connection, self._schema) != "current":
                self._make(connection)

    @contextmanager
    def open(self, name: str, *, spec: TuningSpec, shard: int, shards: int) -> Iterator[OptunaStudy]:
        """Open or create a study; an earlier process of this shard that still lives is waited for.

        :raises ConflictError: it lived for two more minutes.
        """
        with self._connect() as connection:
            self._lock(connection, f"{name}/{shard}")
            with self._storage() as storage:
                directions = ["minimize"] if spec.objective == "latency" else [spec.direction]
                if spec.objective == "both":
                    directions.append("minimize")
                study = _optuna().create_study(
                    storage=storage, study_name=name, directions=directions, load_if_exists=True
                )
                yield OptunaStudy(study, storage.engine, spec=spec, shard=shard, shards=shards)

    def read(self, name: str) -> tuple[Trial, ...]:
        """Return the trials of a study; empty if there is none."""
        with self._answers(), self._storage() as storage:
            try:
                study = _optuna().load_study(storage=storage, study_name=name)
            except KeyError:
                return ()
            return tuple(trial_of(one) for one in study.get_trials(deepcopy=False))

    @contextmanager
    def _storage(self, *, make: bool = False) -> Iterator[Any]:
        """Open one engine; its two connections are enough, for one thread asks at a time.

        :param make: whether to create what is missing; looking for it takes half a second.
        """
        import psycopg

        options = f"-csearch_path={self._schema}"
        storage = _optuna().storages.RDBStorage(
            _DIALECT,
            engine_kwargs={
                "creator": lambda: psycopg.connect(
                    self._dsn, options=options, connect_timeout=_CONNECT_TIMEOUT_S
                ),
                "pool_size": 2,
            },
            skip_compatibility_check=True,
            skip_table_creation=not make,
        )
        try:
            yield storage
        finally:
            storage.remove_session()
            storage.engine.dispose()

    def _make(self, connection: psycopg.Connection) -> None:
        from psycopg import sql

        lock, key = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", f"dataml.optuna/{self._schema}"
        # A transaction of its own: the connection that makes the tables sees the schema once this one is through.
        with connection.transaction():
            connection.execute(lock, [key])
            connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(self._schema)))
        with connection.transaction():
            connection.execute(lock, [key])
            if state_of(connection, self._schema) == "current":
                return
            with self._storage(make=True):
                pass  # opened, it is made

    def _lock(self, connection: psycopg.Connection, key: str) -> None:
        """Take what only one process has at a time; the server frees it when that process is gone."""
        import psycopg

        connection.execute("SELECT set_config('lock_timeout', %s, false)", [f"{_LOCK_TIMEOUT_S}s"])
        try:
            connection.execute(
                "SELECT pg_advisory_lock(hashtextextended(%s, 0))", [f"dataml.optuna/{self._schema}/{key}"]
            )
        except psycopg.errors.LockNotAvailable as err:
            msg = f"another process still works on {key!r} after {_LOCK_TIMEOUT_S} s: end it, or wait for it."
            raise ConflictError(msg) from err

    @contextmanager
    def _connect(self) -> Iterator[psycopg.Connection]:
        import psycopg

        with (
            self._answers(),
            psycopg.connect(
                self._dsn,
                autocommit=True,
                connect_timeout=_CONNECT_TIMEOUT_S,
                application_name="airflow-dataml",
            ) as connection,
        ):
            yield connection

    @contextmanager
    def _answers(self) -> Iterator[None]:
        import psycopg
        import sqlalchemy as sa

        optuna = _optuna()
        try:
            yield
        except (psycopg.Error, sa.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as err:
            # Neither driver repeats the password in its messages.
            said = str(err.__cause__ or err).strip().split("\n")[0]
            msg = f"the database of Optuna's schema {self._schema!r} did not answer: {said}. Check the connection."
            raise BackendError(msg) from err


def _optuna() -> Any:
    """Import Optuna, quiet; about a second the first time."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            import optuna
    except ModuleNotFoundError as err:
        raise MissingExtraError(EXTRA, err.name or "optuna") from err
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
