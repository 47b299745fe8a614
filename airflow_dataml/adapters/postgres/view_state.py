"""What people gave a view by hand, kept over the moment it must be dropped and made anew."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from airflow_dataml.adapters.postgres.ddl import full_names, literal, oid_of
from airflow_dataml.adapters.postgres.dependents import views_above
from airflow_dataml.adapters.postgres.privileges import Right, rights_on, set_rights
from airflow_dataml.adapters.postgres.views import columns_of
from airflow_dataml.core.errors import GateError, SpecError
from airflow_dataml.core.refs import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.refs import Relation

_RELATION = """
SELECT pg_get_userbyid(c.relowner) AS owner, coalesce(c.reloptions, '{}') AS options,
       obj_description(c.oid, 'pg_class') AS comment,
       CASE WHEN c.relkind = 'v' THEN pg_get_viewdef(c.oid) END AS definition
FROM pg_class c WHERE c.oid = %s
"""
_COLUMNS = """
SELECT a.attname AS name, col_description(a.attrelid, a.attnum) AS comment, pg_get_expr(d.adbin, d.adrelid) AS "default"
FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum
"""
_TRIGGERS = """
SELECT t.tgname AS name, pg_get_triggerdef(t.oid) AS definition, obj_description(t.oid, 'pg_trigger') AS comment
FROM pg_trigger t WHERE t.tgrelid = %s AND NOT t.tgisinternal ORDER BY t.tgname
"""
_RULES = """
SELECT r.rulename AS name, pg_get_ruledef(r.oid) AS definition, NULL AS comment
FROM pg_rewrite r WHERE r.ev_class = %s AND r.rulename <> '_RETURN' ORDER BY r.rulename
"""

_LOCKABLE = """
SELECT c.oid, pg_get_userbyid(c.relowner) AS owner FROM pg_class c
WHERE c.oid = ANY (%s) AND pg_has_role(c.relowner, 'USAGE')
"""


@dataclass(frozen=True, slots=True)
class ViewState:
    """Everything about a view or table besides its rows and columns.

    :param definition: a view's query, every name in full.
    :param defaults: column -> SQL expression.
    :param attached: definitions of triggers and rules by name.
    :param dependents: the views above it, each after those it reads.
    """

    relation: Relation
    owner: str
    options: tuple[str, ...] = ()
    comment: str | None = None
    definition: str | None = None
    rights: tuple[Right, ...] = ()
    column_comments: dict[str, str] = field(default_factory=dict)
    defaults: dict[str, str] = field(default_factory=dict)
    attached: dict[str, str] = field(default_factory=dict)
    dependents: tuple[ViewState, ...] = ()

    @property
    def with_options(self) -> str:
        """The options as ``CREATE VIEW`` takes them."""
        return f" WITH ({', '.join(self.options)})" if self.options else ""


def remember_view(db: Connection, view: Relation) -> ViewState:
    """Return what must be given again to a view that is dropped and made anew, and to those that read it.

    :raises SpecError: something reads it that cannot be made anew; nothing was changed.
    """
    oid = oid_of(db, view)
    above, fixed = views_above(db, oid) if oid is not None else ({}, ())
    if oid is None or fixed:
        why = f"it is read by {', '.join(fixed)}; drop these first" if fixed else "it is not there"
        msg = f"view {view} cannot be made anew with another schema: {why}. Nothing was changed."
        raise SpecError(msg)
    return replace(state_of(db, view), dependents=tuple(state_of(db, other) for other in above.values()))


def state_of(db: Connection, relation: Relation) -> ViewState:
    """Return what was given to one table or view, without those that read it."""
    oid = oid_of(db, relation)
    with full_names(db):
        facts = db.one(_RELATION, [oid])
        columns = db.rows(_COLUMNS, [oid])
        attached = [*db.rows(_TRIGGERS, [oid]), *db.rows(_RULES, [oid])]
    return ViewState(
        relation=relation,
        owner=facts["owner"],
        options=tuple(facts["options"]),
        comment=facts["comment"],
        definition=facts["definition"],
        rights=rights_on(db, relation),
        column_comments={c["name"]: c["comment"] for c in columns if c["comment"] is not None},
        defaults={c["name"]: c["default"] for c in columns if c["default"] is not None},
        attached={row["name"]: row["definition"] for row in attached},
    )


def restore_view(db: Connection, view: Relation, state: ViewState) -> None:
    """Give a view what an earlier one of that name had, and make the views above it anew.

    What belonged to a column that is no longer there is gone with it.

    :raises SpecError: a view above reads what is no longer there.
    """
    give(db, view, state)
    for dependent in state.dependents:
        target = dependent.relation
        with _blaming(target, view):
            db.execute(f"CREATE VIEW {target.quoted}{dependent.with_options} AS {dependent.definition}")
        give(db, target, dependent)


def repoint(db: Connection, views: Iterable[ViewState], *, name: Relation) -> None:
    """Make views read what now bears the name they were written with; they stay the same objects."""
    for state in views:
        with _blaming(state.relation, name):
            db.execute(
                f"CREATE OR REPLACE VIEW {state.relation.quoted}{state.with_options} AS {state.definition}"
            )


def lock_order(db: Connection, oid: int) -> list[ViewState]:
    """Return every view above a relation in the order their readers take them, but those of other roles.

    Nobody changes those, and PostgreSQL would not let this role lock them.
    """
    above, _ = views_above(db, oid)
    rows = db.rows(_LOCKABLE, [list(above)])
    owners = {row["oid"]: row["owner"] for row in rows}
    return [ViewState(above[view], owners[view]) for view in reversed(above) if view in owners]


def lock_views(db: Connection, views: Iterable[ViewState]) -> None:
    """Keep readers off some views until the transaction ends, but not off the tables they read.

    Views come before the table below them, in the order their readers take them.
    """
    for state in views:
        # What is owned by its owner already is not changed; the lock is taken all the same.
        db.execute(f"ALTER VIEW {state.relation.quoted} OWNER TO {quote_identifier(state.owner)}")


def give(db: Connection, relation: Relation, state: ViewState) -> None:
    """Give a table or view owner, options, privileges, comments, defaults and triggers; only what differs."""
    now = state_of(db, relation)
    columns = {c.name for c in columns_of(db, relation)}
    word = "TABLE" if now.definition is None else "VIEW"
    target = relation.quoted
    if now.owner != state.owner:
        db.execute(f"ALTER {word} {target} OWNER TO {quote_identifier(state.owner)}")
    if word == "VIEW" and state.definition is not None and set(state.options) - set(now.options):
        db.execute(f"ALTER VIEW {target} SET ({', '.join(state.options)})")
    give_comments(db, relation, word=word, comment=state.comment, columns=state.column_comments)
    for name, default in state.defaults.items():
        if name in columns and now.defaults.get(name) != default:
            db.execute(f"ALTER {word} {target} ALTER COLUMN {quote_identifier(name)} SET DEFAULT {default}")
    for name, definition in state.attached.items():
        if name not in now.attached:
            db.execute(definition)
    rights = [r for r in state.rights if r.column is None or r.column in columns]
    set_rights(db, relation, rights, owner=state.owner)


def give_comments(
    db: Connection, relation: Relation, *, word: str, comment: str | None, columns: Mapping[str, str]
) -> None:
    """Write the comments of a relation and its columns that are not so already; none is taken away."""
    now = state_of(db, relation)
    if comment is not None and comment != now.comment:
        db.execute(f"COMMENT ON {word} {relation.quoted} IS {literal(db, comment)}")
    known = {c.name for c in columns_of(db, relation)}
    for name, text in columns.items():
        if name in known and text != now.column_comments.get(name):
            place = f"{relation.quoted}.{quote_identifier(name)}"
            db.execute(f"COMMENT ON COLUMN {place} IS {literal(db, text)}")


@contextmanager
def _blaming(dependent: Relation, view: Relation) -> Iterator[None]:
    """Name the view that a failed statement was about."""
    try:
        yield
    except (SpecError, GateError) as err:
        msg = (
            f"view {dependent} reads {view} and does not fit it any more ({err}): change or drop that view "
            "first. Nothing was changed."
        )
        raise SpecError(msg) from err
