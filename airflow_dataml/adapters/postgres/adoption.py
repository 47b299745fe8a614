"""Adoption on PostgreSQL: a table steps behind a view of its name, and comes back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.ddl import oid_of
from airflow_dataml.adapters.postgres.dependents import dependents_of
from airflow_dataml.adapters.postgres.fingerprints import describe_relation
from airflow_dataml.adapters.postgres.layout import build_indexes, protect_part
from airflow_dataml.adapters.postgres.obstacles import adoption_obstacles
from airflow_dataml.adapters.postgres.releasing import examine_release, give_back, parked_name, rename_index
from airflow_dataml.adapters.postgres.sequences import part_from, sequences_of
from airflow_dataml.adapters.postgres.shapes import layout_of, shape_of
from airflow_dataml.adapters.postgres.view_state import (
    ViewState,
    give,
    lock_order,
    lock_views,
    repoint,
    state_of,
)
from airflow_dataml.adapters.postgres.views import columns_of, in_short_waits
from airflow_dataml.core.adoption import AdoptionPlan, ReleasePlan
from airflow_dataml.core.errors import NotFoundError, SpecError
from airflow_dataml.core.refs import quote_identifier
from airflow_dataml.core.stores import NewPart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.datasets import Column, Part
    from airflow_dataml.core.layout import Layout
    from airflow_dataml.core.refs import Relation
    from airflow_dataml.core.stores import Grids

_WRITES = ("INSERT", "UPDATE", "DELETE", "TRUNCATE")


class PostgresTableKeeper:
    """Moves tables in and out of the managed schema; see ``core.adoption.TableKeeper``."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection
        self._before: ViewState | None = None
        self._views: list[ViewState] = []

    def examine(self, table: Relation, *, keys: Sequence[str] = ()) -> AdoptionPlan:
        """Return what adopting a table comes to."""
        oid = oid_of(self._db, table)
        if oid is None:
            msg = f"table {table} does not exist, or this role may not look into schema {table.schema!r}."
            raise SpecError(msg)
        columns = columns_of(self._db, table)
        found = dependents_of(self._db, oid)
        obstacles = [*adoption_obstacles(self._db, table, oid, found)]
        if not columns:
            obstacles.append("it has no column")
        shape = shape_of(self._db, oid) | {"sequences": sequences_of(self._db, oid)}
        state = state_of(self._db, table)
        defaults = state.defaults | {s["column"]: s["default"] for s in shape["sequences"] if s["identity"]}
        for key in keys:
            if key not in {c.name for c in columns}:
                obstacles.append(str(NotFoundError.from_available("key", key, [c.name for c in columns])))
        writers = {r.grantee or "PUBLIC" for r in state.rights if r.privilege in _WRITES}
        return AdoptionPlan(
            table=table,
            columns=columns,
            layout=layout_of(shape, keys=keys, defaults=defaults),
            obstacles=tuple(obstacles),
            views=tuple(found.views.values()),
            writers=tuple(sorted(writers)),
            bytes=int(self._db.scalar("SELECT pg_total_relation_size(%s::oid)", [oid])),
            shape=shape,
        )

    def hold(self, table: Relation) -> None:
        """Keep writers off; in short waits, since other writers queue behind this one."""
        lock = f"LOCK TABLE {table.quoted} IN SHARE ROW EXCLUSIVE MODE"
        in_short_waits(self._db, lambda: self._run(lock), what=f"table {table}")

    def measure(self, plan: AdoptionPlan, *, part: Relation, grids: Grids) -> NewPart:
        """Read the table once and build what its keys need."""
        keys = plan.layout.keys
        unique = [set(i["listed"]) for i in plan.shape["indexes"] if i["unique"] and not i["where"]]
        if keys and set(keys) not in unique:
            only_keys = plan.layout.model_copy(update={"indexes": ()})
            build_indexes(self._db, plan.table, only_keys, plan.columns)
        fingerprint, profile = describe_relation(self._db, plan.table, plan.columns, grids)
        self._db.execute(f"ANALYZE {plan.table.quoted}")
        return NewPart(
            locator=str(part),
            columns=plan.columns,
            fingerprint=fingerprint,
            profile=profile,
            bytes=plan.bytes,
            role="adopted",
        )

    def take(self, plan: AdoptionPlan, *, part: Relation) -> None:
        """Move the table to its part's name."""
        self._before = state_of(self._db, plan.table)
        self._views = [state_of(self._db, view) for view in plan.views]
        oid = oid_of(self._db, plan.table)
        above = lock_order(self._db, oid) if oid is not None else []

        def move() -> None:
            lock_views(self._db, above)
            self._run(f"LOCK TABLE {plan.table.quoted} IN ACCESS EXCLUSIVE MODE")
            for key in plan.shape["foreign_keys"]:
                self._run(f"ALTER TABLE {plan.table.quoted} DROP CONSTRAINT {quote_identifier(key['name'])}")

        in_short_waits(self._db, move, what=f"table {plan.table}")
        part_from(self._db, plan.table, plan.shape["sequences"])
        for index in plan.shape["indexes"]:
            rename_index(self._db, plan.table.schema, index["name"], parked_name(part, index["name"]))
        self._run(f"ALTER TABLE {plan.table.quoted} RENAME TO {quote_identifier(part.name)}")
        self._run(
            f"ALTER TABLE {quote_identifier(plan.table.schema)}.{quote_identifier(part.name)} "
            f"SET SCHEMA {quote_identifier(part.schema)}"
        )
        protect_part(self._db, part)

    def cover(self, plan: AdoptionPlan) -> None:
        """Give the view what the table had, and point those who read the table to it."""
        if self._before is None:
            msg = f"table {plan.table} was not taken, so there is nothing to cover."
            raise SpecError(msg)
        give(self._db, plan.table, replace(self._before, attached={}))
        repoint(self._db, self._views, name=plan.table)

    def examine_release(
        self,
        table: Relation,
        *,
        columns: Sequence[Column],
        parts: Sequence[Part],
        layout: Layout,
        shape: dict[str, Any],
        copy: bool = False,
    ) -> ReleasePlan:
        """Return what giving a dataset back comes to."""
        return examine_release(
            self._db, table, columns=columns, parts=parts, layout=layout, shape=shape, copy=copy
        )

    def give_back(self, plan: ReleasePlan) -> None:
        """Put a table in the place of the view."""
        give_back(self._db, plan)

    def _run(self, statement: str) -> None:
        self._db.execute(statement)
