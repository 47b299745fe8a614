"""MLflow's tables in Postgres: looked at before MLflow touches them, migrated once.

MLflow, Airflow and Optuna each keep a table ``alembic_version``. Pointed at a schema that is not its
own, MLflow creates its tables first and fails afterwards; so we look, and MLflow only runs on a
schema that is its own and ready.
"""

from __future__ import annotations

import importlib.util
import re
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from airflow_dataml.adapters.mlflow.client import answers, prepare
from airflow_dataml.adapters.mlflow.uri import CONNECT_TIMEOUT_S
from airflow_dataml.core.errors import ConnectionSpecError, MissingExtraError, RegistryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from airflow_dataml.adapters.mlflow.uri import TrackingUri

State = Literal["missing", "empty", "outdated", "current"]
_EXTRA = "mlflow"
_AIRFLOW_TABLES = frozenset({"dag", "dag_run", "task_instance", "ab_user", "serialized_dag"})
_LOCK_TIMEOUT_S = 60
_MIGRATION_LOCK_TIMEOUT_S = 600
_REVISION = re.compile(r"^(down_)?revision\s*=\s*[\"'](\w+)[\"']", re.MULTILINE)
_REMEDY = "give MLflow a schema of its own, as in ...?options=-csearch_path%3Dmlflow"


@dataclass(frozen=True, slots=True)
class Revisions:
    """The migrations that the installed MLflow knows."""

    known: frozenset[str]
    head: str


class MlflowSchema:
    """The schema of a Postgres database that MLflow's tables live in.

    :param uri: names the schema as the first of its ``search_path``.
    """

    def __init__(self, uri: TrackingUri) -> None:
        self._uri = uri

    def check(self) -> None:
        """Return when MLflow may run here; costs one connection and no import of MLflow.

        :raises ConnectionSpecError: the schema belongs to another program or a newer MLflow.
        :raises RegistryError: the database does not answer, or the tables are not there yet.
        """
        with self._connect() as connection:
            state = self._state(connection)
        if state != "current":
            msg = (
                f"MLflow's tables at {self._uri.shown} are {state}: create or upgrade them once with "
                "MlflowRegistry.ensure_schema(), from one task, before others use the store."
            )
            raise RegistryError(msg)

    def ensure(self, *, artifact_root: str) -> bool:
        """Create or upgrade MLflow's tables and return whether there was anything to do.

        Several at once make them once; the others wait. An empty schema takes some four to eight seconds.
        """
        with self._connect() as connection:
            if self._state(connection) == "current":
                return False
            with self._locked(connection, "schema", wait_s=_MIGRATION_LOCK_TIMEOUT_S):
                state = self._state(connection)
                if state != "current":
                    self._migrate(state, self._name(connection), artifact_root)
                return state != "current"

    @contextmanager
    def lock(self, key: str, *, engine: Any = None) -> Iterator[psycopg.Connection]:
        """Let one writer at a time through for a key; the database frees it if the writer dies.

        :param engine: MLflow's own, whose open connections save the some five milliseconds of a new one.
        """
        opened = self._connect() if engine is None else self._borrow(engine)
        with opened as connection, self._locked(connection, key, wait_s=_LOCK_TIMEOUT_S):
            yield connection

    @contextmanager
    def _borrow(self, engine: Any) -> Iterator[psycopg.Connection]:
        with self._said(), engine.connect() as borrowed:
            yield borrowed.connection.driver_connection

    @contextmanager
    def _connect(self) -> Iterator[psycopg.Connection]:
        import psycopg

        with (
            self._said(),
            psycopg.connect(
                self._uri.dsn,
                autocommit=True,
                connect_timeout=CONNECT_TIMEOUT_S,
                application_name="airflow-dataml",
            ) as connection,
        ):
            yield connection

    @contextmanager
    def _said(self) -> Iterator[None]:
        import psycopg

        try:
            yield
        except psycopg.Error as err:
            said = self._uri.scrub(str(err).strip().split("\n")[0])
            msg = f"the MLflow store {self._uri.shown} did not answer: {said}. Check the MLflow connection."
            raise RegistryError(msg) from err

    @contextmanager
    def _locked(self, connection: psycopg.Connection, key: str, *, wait_s: int) -> Iterator[None]:
        # A transaction's lock, not a session's: it survives a connection pooler and ends with us.
        with connection.transaction():
            connection.execute("SELECT set_config('lock_timeout', %s, true)", [f"{wait_s}s"])
            connection.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
                [f"dataml.mlflow/{self._name(connection)}/{key}"],
            )
            yield

    def _name(self, connection: psycopg.Connection) -> str:
        """Return the schema that MLflow's tables go to, which may not exist yet."""
        path, current = _row(connection, "SELECT current_setting('search_path'), current_schema()")
        first = str(path).split(",", maxsplit=1)[0].strip().strip('"')
        return str(current) if first == "$user" or not first else first

    def _state(self, connection: psycopg.Connection) -> State:
        schema = self._name(connection)
        found = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname = ANY(current_schemas(false)) OR schemaname = %s",
            [schema],
        ).fetchall()
        for owner in {row[0] for row in found}:
            if len(_AIRFLOW_TABLES & {row[1] for row in found if row[0] == owner}) > 1:
                msg = f"{self._uri.shown} points into Airflow's metadata (schema {owner!r}); {_REMEDY}."
                raise ConnectionSpecError(msg)
        tables = {row[1] for row in found if row[0] == schema}
        if not tables:
            (exists,) = _row(connection, "SELECT to_regnamespace(quote_ident(%s)) IS NOT NULL", schema)
            return "empty" if exists else "missing"
        return self._revision_state(connection, schema, tables)

    def _revision_state(self, connection: psycopg.Connection, schema: str, tables: set[str]) -> State:
        from psycopg import sql

        revisions = installed_revisions()
        revision = None
        if "alembic_version" in tables:
            query = sql.SQL("SELECT max(version_num) FROM {}").format(
                sql.Identifier(schema, "alembic_version")
            )
            (revision,) = connection.execute(query).fetchone() or (None,)
        if revision is not None and revision not in revisions.known:
            owner = (
                "a newer MLflow: upgrade mlflow here"
                if "experiments" in tables
                else f"another program; {_REMEDY}"
            )
            msg = f"schema {schema!r} of {self._uri.shown} was migrated (revision {revision!r}) by {owner}."
            raise ConnectionSpecError(msg)
        if "experiments" not in tables:
            msg = f"schema {schema!r} of {self._uri.shown} already holds {sorted(tables)[:3]}; {_REMEDY}."
            raise ConnectionSpecError(msg)
        return "current" if revision == revisions.head else "outdated"

    def _migrate(self, state: State, schema: str, artifact_root: str) -> None:
        prepare(self._uri)
        from mlflow.store.db import utils as store_utils
        from mlflow.store.tracking import sqlalchemy_store
        from psycopg import sql

        utils: Any = store_utils
        tracking: Any = sqlalchemy_store

        if state == "missing":
            # MLflow migrates over connections of its own, which must see the schema: made outside our transaction.
            with self._connect() as connection:
                connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
        with answers(self._uri):
            engine = utils.create_sqlalchemy_engine(self._uri.text)
            try:
                (utils._upgrade_db if state == "outdated" else utils._initialize_tables)(engine)
            finally:
                engine.dispose()
            # The first store on new tables writes the default experiment; two at once would collide.
            tracking.SqlAlchemyStore(self._uri.text, artifact_root)


@cache
def installed_revisions() -> Revisions:
    """Read the migrations' names from MLflow's files, without the two seconds of importing it."""
    spec = importlib.util.find_spec("mlflow")
    if spec is None or spec.origin is None:
        raise MissingExtraError(_EXTRA, _EXTRA)
    known: set[str] = set()
    below: set[str] = set()
    for file in (Path(spec.origin).parent / "store" / "db_migrations" / "versions").glob("*.py"):
        for down, revision in _REVISION.findall(file.read_text(encoding="utf-8")):
            (below if down else known).add(revision)
    heads = known - below
    if len(heads) != 1:
        msg = f"the installed MLflow has migrations with heads {sorted(heads)}, one was expected: reinstall mlflow."
        raise ConnectionSpecError(msg)
    return Revisions(frozenset(known), heads.pop())


def _row(connection: psycopg.Connection, query: str, *params: str) -> tuple[object, ...]:
    return connection.execute(query.encode(), params).fetchone() or ()
