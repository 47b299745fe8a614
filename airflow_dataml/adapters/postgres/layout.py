"""Layout on PostgreSQL: what is done to each part before, and to the view while it is published."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_dataml.adapters.postgres.ddl import names, oid_of
from airflow_dataml.adapters.postgres.privileges import rights_on
from airflow_dataml.adapters.postgres.view_state import (
    ViewState,
    give_comments,
    remember_view,
    restore_view,
    state_of,
)
from airflow_dataml.adapters.postgres.views import columns_of
from airflow_dataml.core.errors import GateError, WarehouseError
from airflow_dataml.core.refs import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.datasets import Column
    from airflow_dataml.core.layout import Index, Layout
    from airflow_dataml.core.refs import Relation

__all__ = [
    "PROTECTION", "ViewState", "build_indexes", "default_columns", "dress_part", "dress_view", "protect_part",
    "remember_view", "restore_view", "unprotect_part", "view_options",
]  # fmt: skip

log = logging.getLogger(__name__)
PROTECTION = "dataml_refuse"
_PROTECTED = "SELECT EXISTS (SELECT 1 FROM pg_trigger WHERE tgrelid = %s AND tgname = %s)"
_UNREADABLE_PARTS = """
SELECT DISTINCT format('%%I.%%I', n.nspname, p.relname) AS part, pg_get_userbyid(v.relowner) AS owner
FROM pg_class v JOIN pg_rewrite r ON r.ev_class = v.oid
JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
JOIN pg_class p ON p.oid = d.refobjid AND p.oid <> v.oid AND p.relkind = 'r'
JOIN pg_namespace n ON n.oid = p.relnamespace
WHERE v.oid = %s AND p.relowner <> v.relowner AND NOT has_table_privilege(v.relowner, p.oid, 'SELECT')
"""


def default_columns(
    db: Connection, relation: Relation, layout: Layout, columns: Sequence[Column] = ()
) -> tuple[str, ...]:
    """Give a staged batch the columns it lacks and the layout has a default for; returns their names.

    Every row gets a value of its own, as with ``INSERT``: a sequence counts on, ``random()`` differs.

    :param columns: the dataset's columns, for their types; else a column is of its default's type.
    """
    have = {c.name for c in columns_of(db, relation)}
    types = {c.name: c.type for c in columns}
    added = []
    for name, expression in layout.defaults.items():
        if name in have:
            continue
        kind = types.get(name) or db.scalar(
            f"SELECT format_type(pg_typeof(d), NULL) FROM (SELECT {expression} AS d WHERE false) t "
            f"RIGHT JOIN (SELECT 1) one ON true"
        )
        place = f"ALTER TABLE {relation.quoted}"
        db.execute(f"{place} ADD COLUMN {quote_identifier(name)} {kind} DEFAULT {expression}")
        db.execute(f"{place} ALTER COLUMN {quote_identifier(name)} DROP DEFAULT")
        added.append(name)
    return tuple(added)


def dress_part(db: Connection, relation: Relation, layout: Layout, columns: Sequence[Column]) -> None:
    """Build the declared indexes on a part, count its values for the planner, and close it for writing.

    :param columns: the part's columns; an index over one it lacks is left out and said so.
    """
    build_indexes(db, relation, layout, columns)
    db.execute(f"ANALYZE {relation.quoted}")
    protect_part(db, relation)


def build_indexes(db: Connection, relation: Relation, layout: Layout, columns: Sequence[Column]) -> None:
    """Build the indexes of a layout that a part does not have yet."""
    have = {c.name for c in columns}
    for index in layout.part_indexes:
        if missing := [name for name in index.columns if name not in have]:
            log.warning(
                "%s has no column %s; its index over %s is left out", relation, missing, index.columns
            )
            continue
        unique = "UNIQUE " if index.unique else ""
        # Not CONCURRENTLY: nobody reads a part before it is published.
        name = quote_identifier(index.name_on(relation))
        with _duplicates_named(relation, index):
            db.execute(f"CREATE {unique}INDEX IF NOT EXISTS {name} ON {relation.quoted} {_index_sql(index)}")


@contextmanager
def _duplicates_named(relation: Relation, index: Index) -> Iterator[None]:
    """Say of rows that are not unique that they are the matter; no retry makes them so."""
    import psycopg

    try:
        yield
    except WarehouseError as err:
        if not isinstance(err.__cause__, psycopg.errors.UniqueViolation):
            raise
        detail = err.__cause__.diag.message_detail or "a value occurs twice"
        msg = f"the rows of {relation} are not unique by ({', '.join(index.columns)}): {detail} Nothing was changed."
        raise GateError(msg) from err


def protect_part(db: Connection, relation: Relation) -> None:
    """Make PostgreSQL refuse every change of a part's rows, by its owner too."""
    db.execute(
        f"CREATE OR REPLACE TRIGGER {PROTECTION} BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {relation.quoted} "
        "FOR EACH STATEMENT EXECUTE FUNCTION dataml.part_refuse()"
    )


def unprotect_part(db: Connection, relation: Relation) -> None:
    """Open a table for writing again."""
    db.execute(f"DROP TRIGGER IF EXISTS {PROTECTION} ON {relation.quoted}")


def dress_view(db: Connection, view: Relation, layout: Layout) -> None:
    """Give a view what its layout declares: comments, defaults, grants, and words for whoever writes to it.

    Only what differs is executed, and only what is declared is looked at, because readers may be waiting.
    """
    if layout.comment is not None or layout.column_comments:
        give_comments(db, view, word="VIEW", comment=layout.comment, columns=layout.column_comments)
    if layout.defaults:
        now, have = state_of(db, view).defaults, {c.name for c in columns_of(db, view)}
        for name, expression in layout.defaults.items():
            # PostgreSQL keeps its own spelling, so a default written otherwise is set again each time.
            if name in have and now.get(name) != expression:
                db.execute(
                    f"ALTER VIEW {view.quoted} ALTER COLUMN {quote_identifier(name)} SET DEFAULT {expression}"
                )
    if layout.grants:
        _grant(db, view, layout)
    if not db.scalar(_PROTECTED, [oid_of(db, view), PROTECTION]):
        db.execute(
            f"CREATE TRIGGER {PROTECTION} INSTEAD OF INSERT OR UPDATE OR DELETE ON {view.quoted} "
            "FOR EACH ROW EXECUTE FUNCTION dataml.part_refuse()"
        )
    for row in db.rows(_UNREADABLE_PARTS, [oid_of(db, view)]):
        db.execute(f"GRANT SELECT ON {row['part']} TO {quote_identifier(row['owner'])}")


def view_options(db: Connection, view: Relation) -> str:
    """Return a view's options as ``CREATE OR REPLACE VIEW name`` takes them next; it forgets what is not said."""
    options = db.scalar("SELECT reloptions FROM pg_class WHERE oid = to_regclass(%s)", [view.quoted])
    return f" WITH ({', '.join(options)})" if options else ""


def _grant(db: Connection, view: Relation, layout: Layout) -> None:
    have = {(r.grantee, r.privilege): r.grantable for r in rights_on(db, view) if r.column is None}
    for grant in layout.grants:
        role = None if grant.role == "PUBLIC" else grant.role
        wanted = [p for p in grant.privileges if have.get((role, p)) not in (True, grant.grantable)]
        if wanted:
            to = "PUBLIC" if role is None else quote_identifier(role)
            option = " WITH GRANT OPTION" if grant.grantable else ""
            db.execute(f"GRANT {', '.join(wanted)} ON {view.quoted} TO {to}{option}")


def _index_sql(index: Index) -> str:
    if index.definition is not None:
        return index.definition
    condition = f" WHERE {index.where}" if index.where else ""
    return f"USING {index.method} ({names(index.columns)}){condition}"
