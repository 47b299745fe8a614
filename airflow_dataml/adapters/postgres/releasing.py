"""Release on PostgreSQL: a table takes the place of the view again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.ddl import names, oid_of
from airflow_dataml.adapters.postgres.dependents import dependents_of
from airflow_dataml.adapters.postgres.layout import PROTECTION, build_indexes, unprotect_part
from airflow_dataml.adapters.postgres.obstacles import pinned_by, release_obstacles
from airflow_dataml.adapters.postgres.sequences import join_to
from airflow_dataml.adapters.postgres.shapes import (
    add_constraint,
    give_shape,
    give_statistics,
    shape_of,
    unfit,
)
from airflow_dataml.adapters.postgres.view_state import give, lock_order, lock_views, repoint, state_of
from airflow_dataml.adapters.postgres.views import in_short_waits, union_sql
from airflow_dataml.core.adoption import ReleasePlan
from airflow_dataml.core.layout import Index
from airflow_dataml.core.refs import AssetNaming, Relation, quote_identifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.datasets import Column, Part
    from airflow_dataml.core.layout import Layout


def parked_name(part: Relation, index: str) -> str:
    """Return the name an adopted table's own index bears while it is managed."""
    return Index(columns=(index,)).name_on(part)


def rename_index(db: Connection, schema: str, old: str, new: str) -> None:
    """Rename an index, and with it the constraint it serves."""
    place = f"{quote_identifier(schema)}.{quote_identifier(old)}"
    db.execute(f"ALTER INDEX {place} RENAME TO {quote_identifier(new)}")


def examine_release(
    db: Connection,
    table: Relation,
    *,
    columns: Sequence[Column],
    parts: Sequence[Part],
    layout: Layout,
    shape: dict[str, Any],
    copy: bool,
) -> ReleasePlan:
    """Return what giving a dataset back comes to; changes nothing."""
    view_oid = oid_of(db, table)
    copied = copy or len(parts) != 1 or parts[0].columns != tuple(columns)
    ids = [] if copied else [p.part_id for p in parts]
    oids = [oid for p in parts if (oid := oid_of(db, p.relation)) is not None]
    obstacles: list[str] = []
    views: tuple[Relation, ...] = ()
    if len(oids) < len(parts):
        obstacles.append("a part of its current version is gone")
    if view_oid is None or state_of(db, table).definition is None:
        obstacles.append(f"{table} is no view any more")
    else:
        obstacles += release_obstacles(db, table, view_oid, [] if copied else oids, part_ids=ids)
        views = tuple(dependents_of(db, view_oid).views.values())
        if own := sorted(set(state_of(db, table).attached) - {PROTECTION}):
            obstacles.append(f"triggers or rules {own} are on the view")
    return ReleasePlan(
        table=table,
        columns=tuple(columns),
        parts=tuple(parts),
        copied=copied,
        layout=layout,
        obstacles=tuple(obstacles),
        views=views,
        losing=pinned_by(db, ids),
        unfit=unfit(shape, [c.name for c in columns]) if shape else (),
        shape=shape,
    )


def give_back(db: Connection, plan: ReleasePlan) -> None:
    """Put a table with the rows of the parts in the place of the view; rows are copied before readers wait."""
    view, shape = plan.table, plan.shape
    have = [c.name for c in plan.columns]
    state = state_of(db, view)
    views = [state_of(db, other) for other in plan.views]
    oid = oid_of(db, view)
    above = lock_order(db, oid) if oid is not None else []
    source = _filled(db, plan) if plan.copied else plan.parts[0].relation
    for key in shape.get("foreign_keys", ()):
        if not key["to_itself"] and key["name"] not in plan.unfit:
            add_constraint(db, source, key)

    def lock() -> None:
        lock_views(db, [*above, state])
        db.execute(f"LOCK TABLE {source.quoted} IN ACCESS EXCLUSIVE MODE")

    in_short_waits(db, lock, what=f"view {view}")
    aside = Relation(view.schema, AssetNaming().fit(view.name, "_dataml_released"))
    db.execute(f"ALTER VIEW {view.quoted} RENAME TO {quote_identifier(aside.name)}")
    if not plan.copied:
        _undress(db, source, plan)
    _move(db, source, view)
    if not plan.copied and shape.get("part") == str(source):
        for index in shape["indexes"]:
            rename_index(db, view.schema, parked_name(source, index["name"]), index["name"])
    repoint(db, views, name=view)
    db.execute(f"DROP VIEW {aside.quoted}")
    counted = {s["column"] for s in shape.get("sequences", ()) if s["identity"]}
    defaults = {name: sql for name, sql in state.defaults.items() if name not in counted}
    give(db, view, replace(state, attached={}, defaults=defaults))
    _finish(db, plan, have)


def _finish(db: Connection, plan: ReleasePlan, have: Sequence[str]) -> None:
    shape = plan.shape
    if not shape:
        return
    join_to(db, plan.table, shape["sequences"], have)
    for key in shape["foreign_keys"]:
        if key["to_itself"] and key["name"] not in plan.unfit:
            add_constraint(db, plan.table, key)
    if plan.copied or shape.get("part") != plan.parts[0].locator:
        give_statistics(db, shape, have)


def _filled(db: Connection, plan: ReleasePlan) -> Relation:
    """Copy the rows into a new table with everything the table had."""
    target = Relation(plan.table.schema, AssetNaming().fit(plan.table.name, "_dataml_copy"))
    collations = {c["name"]: c for c in plan.shape.get("columns", ()) if c["collation"]}
    body = ", ".join(_column(c, collations.get(c.name)) for c in plan.columns)
    db.execute(f"CREATE TABLE {target.quoted} ({body})")
    have = [c.name for c in plan.columns]
    rows = union_sql(plan.parts, plan.columns)
    db.execute(f"INSERT INTO {target.quoted} ({names(have)}) SELECT {names(have)} FROM ({rows}) parts")
    if plan.shape:
        give_shape(db, target, plan.shape, have)
    else:
        build_indexes(db, target, plan.layout, plan.columns)
    db.execute(f"ANALYZE {target.quoted}")
    return target


def _column(column: Column, collation: dict[str, Any] | None) -> str:
    text = f"{quote_identifier(column.name)} {column.type}"
    if collation is None:
        return text
    return f"{text} COLLATE {Relation(collation['collation_schema'], collation['collation']).quoted}"


def _undress(db: Connection, part: Relation, plan: ReleasePlan) -> None:
    """Take from a part what publication gave it, and give it what the table had."""
    unprotect_part(db, part)
    if not plan.shape:
        return
    adopted = plan.shape.get("part") == str(part)
    kept = {parked_name(part, index["name"]) for index in plan.shape["indexes"]} if adopted else set()
    oid = oid_of(db, part)
    for index in shape_of(db, oid)["indexes"] if oid is not None else ():
        if index["name"] not in kept and not index["by_constraint"]:
            db.execute(f"DROP INDEX {Relation(part.schema, index['name']).quoted}")
    if not adopted:
        give_shape(db, part, plan.shape, [c.name for c in plan.columns])


def _move(db: Connection, source: Relation, target: Relation) -> None:
    if source.name != target.name:
        db.execute(f"ALTER TABLE {source.quoted} RENAME TO {quote_identifier(target.name)}")
    if source.schema != target.schema:
        moved = Relation(source.schema, target.name)
        db.execute(f"ALTER TABLE {moved.quoted} SET SCHEMA {quote_identifier(target.schema)}")
