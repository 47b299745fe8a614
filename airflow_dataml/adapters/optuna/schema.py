"""Optuna's tables in Postgres: looked at before Optuna touches them.

Optuna, MLflow and Airflow each keep a table ``alembic_version``. Pointed at a schema that is not its
own, Optuna creates its tables first and fails afterwards; so we look.
"""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from airflow_dataml.core.errors import ConnectionSpecError, MissingExtraError

if TYPE_CHECKING:
    import psycopg

State = Literal["missing", "empty", "unfinished", "current"]
EXTRA = "tune"
_AIRFLOW_TABLES = frozenset({"dag", "dag_run", "task_instance", "ab_user", "serialized_dag"})
_MLFLOW_TABLES = frozenset({"experiments", "runs", "registered_models", "model_versions"})
_OWN_TABLES = frozenset({"studies", "trials", "version_info"})
_REVISION = re.compile(r"^(down_)?revision\s*=\s*[\"']([\w.]+)[\"']", re.MULTILINE)
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}\Z")
_REMEDY = "give Optuna a schema of its own, as is the default 'optuna'"


def check_schema_name(name: str) -> str:
    """Return the name of a schema for Optuna, or refuse one that would need quoting."""
    if not _NAME.match(name):
        msg = f"schema {name!r} is not usable for Optuna: write lower-case letters, digits and underscores."
        raise ConnectionSpecError(msg)
    return name


def state_of(connection: psycopg.Connection, schema: str) -> State:
    """Return what is in a schema, having written nothing.

    :raises ConnectionSpecError: it belongs to another program, or to another version of Optuna.
    """
    found = connection.execute(
        "SELECT n.oid IS NOT NULL, array_remove(array_agg(t.tablename::text), NULL)"
        " FROM (VALUES (%s)) AS wanted (name) LEFT JOIN pg_namespace n ON n.nspname = wanted.name"
        " LEFT JOIN pg_tables t ON t.schemaname = wanted.name GROUP BY n.oid",
        [schema],
    ).fetchone()
    exists, tables = (bool(found[0]), frozenset(found[1])) if found else (False, frozenset())
    if not tables:
        return "empty" if exists else "missing"
    _refuse_others(schema, tables)
    return _revision_state(connection, schema, tables)


def _refuse_others(schema: str, tables: frozenset[str]) -> None:
    for program, known in (("Airflow's metadata", _AIRFLOW_TABLES), ("MLflow's tables", _MLFLOW_TABLES)):
        if len(tables & known) > 1:
            msg = f"schema {schema!r} holds {program}; {_REMEDY}."
            raise ConnectionSpecError(msg)
    if not tables >= _OWN_TABLES:
        msg = f"schema {schema!r} already holds {sorted(tables)[:3]}, which are not Optuna's; {_REMEDY}."
        raise ConnectionSpecError(msg)


def _revision_state(connection: psycopg.Connection, schema: str, tables: frozenset[str]) -> State:
    from psycopg import sql

    known, head = installed_revisions()
    revision = None
    if "alembic_version" in tables:
        query = sql.SQL("SELECT max(version_num) FROM {}").format(sql.Identifier(schema, "alembic_version"))
        (revision,) = connection.execute(query).fetchone() or (None,)
    if revision == head:
        return "current"
    if revision is None:
        # Optuna commits its tables before their revision, and whoever made them was killed between.
        return "unfinished"
    if revision in known:
        msg = f"schema {schema!r} was made by an older Optuna (revision {revision!r}, {head!r} is needed): run 'optuna storage upgrade' on it."
    else:
        msg = f"schema {schema!r} was migrated (revision {revision!r}) by another program or a newer Optuna; {_REMEDY}, or upgrade optuna here."
    raise ConnectionSpecError(msg)


@cache
def installed_revisions() -> tuple[frozenset[str], str]:
    """Return the migrations the installed Optuna knows and the last of them, without importing it."""
    spec = importlib.util.find_spec("optuna")
    if spec is None or spec.origin is None:
        raise MissingExtraError(EXTRA, "optuna")
    known: set[str] = set()
    below: set[str] = set()
    folder = Path(spec.origin).parent / "storages" / "_rdb" / "alembic" / "versions"
    for file in folder.glob("*.py"):
        for down, revision in _REVISION.findall(file.read_text(encoding="utf-8")):
            (below if down else known).add(revision)
    heads = known - below
    if len(heads) != 1:
        msg = f"the installed Optuna has migrations with heads {sorted(heads)}, one was expected: reinstall optuna."
        raise ConnectionSpecError(msg)
    return frozenset(known), heads.pop()
