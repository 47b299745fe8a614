"""Managed datasets in PostgreSQL: part tables in one schema, a view over those of a version."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.comparing import compare_parts
from airflow_dataml.adapters.postgres.fingerprints import describe_relation
from airflow_dataml.adapters.postgres.layout import default_columns, dress_part, dress_view
from airflow_dataml.adapters.postgres.loading import load
from airflow_dataml.adapters.postgres.merging import check_keys, rest_of, touched
from airflow_dataml.core.errors import DataMLError, GateError
from airflow_dataml.core.refs import AssetNaming, Relation, quote_identifier
from airflow_dataml.core.stores import NewPart, StagedMerge, Switched

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.adapters.postgres.warehouse import PostgresWarehouse
    from airflow_dataml.core.datasets import Column, Part, PartRole
    from airflow_dataml.core.refs import FactKey
    from airflow_dataml.core.stores import (
        Change,
        Grids,
        MergeSpec,
        OnProgress,
        Place,
        RowDiff,
        Source,
    )

_FETCH = 10_000
# No verification takes longer; until then a view may be in use by one.
_INSPECTION = timedelta(days=1)


class PostgresStore:
    """Parts as tables of the schema ``dataml_data``; see ``core.stores.DatasetStore``.

    Everything happens in the caller's transaction, so data and fact commit together.
    """

    name = "postgres"

    def __init__(self, connection: Connection, warehouse: PostgresWarehouse) -> None:
        self._db = connection
        self._warehouse = warehouse

    def stage(
        self, *, fact: FactKey, place: Place, source: Source, grids: Grids, on_progress: OnProgress
    ) -> NewPart:
        """Write rows into a new table."""
        relation = AssetNaming().part(fact)
        load(self._warehouse, relation, source, on_progress=on_progress, defaults=place.layout.defaults)
        default_columns(self._db, relation, place.layout, self._published(place))
        return self._finish(relation, place, grids, role="batch")

    def stage_merge(
        self,
        *,
        fact: FactKey,
        place: Place,
        source: Source,
        merge: MergeSpec,
        current: Sequence[Part],
        grids: Grids,
        on_progress: OnProgress,
    ) -> StagedMerge:
        """Write the batch, and anew every part that holds one of its keys, without the touched rows."""
        relation = AssetNaming().part(fact)
        load(self._warehouse, relation, source, on_progress=on_progress, defaults=place.layout.defaults)
        default_columns(self._db, relation, place.layout, self._published(place))
        check_keys(self._db, relation, merge, asset=place.asset)
        removes, rewrites = [], []
        for part in touched(self._db, relation, merge.keys, current):
            on_progress(f"rewriting part {part.part_id} with {part.rows} rows")
            removes.append(part.part_id)
            successor = AssetNaming().part(fact.of(str(part.part_id)))
            if rest_of(self._db, part, relation, merge.keys, into=successor):
                rewrites.append(self._finish(successor, place, grids, role="rewrite", like=part))
        if merge.delete_flag is not None:
            flag = quote_identifier(merge.delete_flag)
            self._db.execute(f"DELETE FROM {relation.quoted} WHERE {flag}")
            self._db.execute(f"ALTER TABLE {relation.quoted} DROP COLUMN {flag}")
        batch = self._finish(relation, place, grids, role="batch")
        return StagedMerge(batch, tuple(removes), tuple(rewrites))

    def profile(self, part: Part, grids: Grids) -> dict[str, Any]:
        """Profile a part anew, on other edges."""
        return self._warehouse.profile(part.relation, part.columns, grids)

    def switch(
        self, *, place: Place, change: Change, columns: Sequence[Column], parts: Sequence[Part]
    ) -> Switched:
        """Point the view at these parts; the lock is held for the rest of the transaction."""
        view = Relation.parse(place.location)
        self._warehouse.point_view(view, columns, parts, ours=place.ours)
        dress_view(self._db, view, place.layout)
        return Switched(tuple(parts), {"table": place.location})

    @contextmanager
    def inspect(self, *, name: str, columns: Sequence[Column], parts: Sequence[Part]) -> Iterator[Relation]:
        """Show some parts under a name of their own; one part alone is shown as it is."""
        if len(parts) == 1 and parts[0].columns == tuple(columns):
            yield parts[0].relation
            return
        view = Relation(AssetNaming.data_schema, name)
        body = self._warehouse.union(parts, columns)
        with self._db.transaction():
            self._db.execute(f"CREATE OR REPLACE VIEW {view.quoted} AS {body}")
            # A killed task leaves it behind; its age says when it may be swept.
            made = datetime.now(UTC).isoformat()
            self._db.execute(f"COMMENT ON VIEW {view.quoted} IS '{made}'")
        drop = f"DROP VIEW IF EXISTS {view.quoted}"
        try:
            yield view
        except BaseException:
            # What happened is told, not that the view could not be dropped after it; its age will be its end.
            with suppress(DataMLError):
                self._db.execute(drop)
            raise
        self._db.execute(drop)

    def scan(
        self, *, columns: Sequence[Column], parts: Sequence[Part], limit: int | None = None
    ) -> Iterator[tuple[Any, ...]]:
        """Yield rows through a cursor on the server."""
        from psycopg.rows import tuple_row

        body = self._warehouse.union(parts, columns)
        with (
            self._db.transaction(),
            self._db.raw.cursor(name="dataml_scan", row_factory=tuple_row) as cursor,
        ):
            cursor.itersize = _FETCH
            # Without parameters a per cent sign in a column's name is one.
            cursor.execute(f"SELECT * FROM ({body}) rows LIMIT {'ALL' if limit is None else int(limit)}")
            yield from cursor

    def compare(
        self,
        *,
        columns: Sequence[Column],
        keys: Sequence[str],
        old: Sequence[Part],
        new: Sequence[Part],
        samples: int = 5,
    ) -> RowDiff:
        """Compare two manifests; parts they share are not read."""
        return compare_parts(self._db, columns=columns, keys=keys, old=old, new=new, samples=samples)

    def compact(
        self, *, fact: FactKey, place: Place, columns: Sequence[Column], parts: Sequence[Part], grids: Grids
    ) -> NewPart:
        """Write several parts as one and compare what came out."""
        relation = AssetNaming().part(fact)
        body = self._warehouse.union(parts, columns)
        self._db.execute(f"CREATE TABLE {relation.quoted} AS {body}")
        made = self._finish(relation, place, grids, role="compacted", like=parts[0])
        with self.inspect(name=f"compact_{fact.digest}", columns=columns, parts=parts) as before:
            expected = self._warehouse.fingerprint(before)
        if made.fingerprint != expected:
            msg = f"compacting {len(parts)} parts of {place.asset!r} would change their content ({expected.text} to {made.fingerprint.text}); nothing was changed."
            raise GateError(msg)
        return made

    def drop(self, parts: Sequence[Part]) -> int:
        """Drop the tables of some parts."""
        freed = 0
        for part in parts:
            size = self._db.scalar("SELECT pg_total_relation_size(to_regclass(%s))", [part.relation.quoted])
            self._db.execute(f"DROP TABLE IF EXISTS {part.relation.quoted}")
            freed += size or 0
        return freed

    def strays(self, known: Iterable[str]) -> dict[str, int]:
        """Return tables and views in the data schema that no part of the ledger names."""
        found = self._db.rows(
            """SELECT c.relname AS name, pg_total_relation_size(c.oid) AS bytes FROM pg_class c
               WHERE c.relnamespace = to_regnamespace(%s) AND (c.relkind = 'r' OR c.relkind = 'v' AND
                     coalesce(obj_description(c.oid, 'pg_class'), '') < %s)""",
            [AssetNaming.data_schema, (datetime.now(UTC) - _INSPECTION).isoformat()],
        )
        stray = {str(Relation(AssetNaming.data_schema, row["name"])): row["bytes"] for row in found}
        for locator in known:
            stray.pop(locator, None)
        return stray

    def drop_strays(self, locators: Sequence[str]) -> int:
        """Drop strays; one that somebody uses by now is left."""
        for locator in locators:
            relation = Relation.parse(locator)
            kind = self._db.scalar(
                "SELECT relkind FROM pg_class WHERE oid = to_regclass(%s)", [relation.quoted]
            )
            if kind is not None:
                self._db.execute(f"DROP {'VIEW' if kind == 'v' else 'TABLE'} {relation.quoted}")
        return len(locators)

    def close(self, *, place: Place) -> None:
        """Drop a view of ours."""
        self._db.execute(f"DROP VIEW IF EXISTS {Relation.parse(place.location).quoted}")

    def _published(self, place: Place) -> tuple[Column, ...]:
        """The columns readers see now, which give a default its type; none for a dataset not published yet."""
        return (
            self._warehouse.columns(Relation.parse(place.location)) if place.location and place.ours else ()
        )

    def _finish(
        self,
        relation: Relation,
        place: Place,
        grids: Grids,
        *,
        role: PartRole,
        like: Part | None = None,
    ) -> NewPart:
        columns = self._warehouse.columns(relation)
        fingerprint, profile = describe_relation(self._db, relation, columns, grids)
        dress_part(self._db, relation, place.layout, columns)
        return NewPart(
            locator=str(relation),
            columns=columns,
            fingerprint=fingerprint,
            profile=profile,
            bytes=self._db.scalar("SELECT pg_total_relation_size(%s::regclass)", [relation.quoted]),
            partition_key=like.partition_key if like else None,
            role=role,
            replaces=(like.part_id,) if like and role == "rewrite" else (),
        )
