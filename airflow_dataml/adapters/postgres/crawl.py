"""Crawling PostgreSQL: its tables read in pages, and the crawls themselves in the ledger."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.catalog_registration import PostgresCatalog
from airflow_dataml.core.crawl import FoundTable, Place, rounded
from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.catalog import AssetEntry, Registered
    from airflow_dataml.core.crawl import CrawlScope

_PAGE = 500
# Where a ledger is, its own tables and the copies that branches are belong to it.
_OURS = """
SELECT CASE WHEN to_regclass('dataml.branch') IS NULL THEN '{}'::text[]
  WHEN has_table_privilege('dataml.branch', 'SELECT') THEN NULL
  ELSE ARRAY(SELECT nspname::text FROM pg_namespace WHERE nspname LIKE 'branch\\_%') END AS schemas
"""
_BRANCHES = "SELECT array_agg(schema_name) AS schemas FROM dataml.branch"
_LIST = """
SELECT n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS letter, pg_get_userbyid(c.relowner)::text AS owner,
  obj_description(c.oid, 'pg_class') AS comment, c.reltuples AS rows,
  CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END AS definition,
  (SELECT json_agg(json_build_array(a.attname, format_type(a.atttypid, a.atttypmod), col_description(c.oid, a.attnum))
                   ORDER BY a.attnum)
   FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
  (SELECT json_agg(a.attname ORDER BY k.position)
   FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k (attnum, position), pg_attribute a
   WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid AND a.attnum = k.attnum) AS primary_key,
  CASE WHEN c.relkind = 'v' THEN EXISTS (
    SELECT FROM pg_rewrite w JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
    JOIN pg_class p ON d.refclassid = 'pg_class'::regclass AND p.oid = d.refobjid
    JOIN pg_namespace q ON q.oid = p.relnamespace WHERE w.ev_class = c.oid AND q.nspname = 'dataml_data') ELSE false END AS managed
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname <> ALL (%(ours)s::text[]) AND n.nspname NOT IN ('information_schema', 'dataml', 'dataml_data') AND n.nspname !~ '^pg_'
  AND n.nspname || '.' || c.relname LIKE ANY (%(including)s::text[])
  AND NOT n.nspname || '.' || c.relname LIKE ANY (%(excluding)s::text[])
ORDER BY 1, 2
"""
_SEEN = """
INSERT INTO pg_temp.dataml_seen (asset_id)
SELECT coalesce(a.merged_into, a.asset_id, l.asset_id) FROM unnest(%s::text[]) n (name)
LEFT JOIN dataml.asset a ON a.name = n.name
LEFT JOIN dataml.asset_alias l ON l.namespace = 'asset' AND l.name = n.name
"""
# Only what this crawl would have found if it were there.
_MISSING = """
UPDATE dataml.asset a SET status = 'missing', status_at = clock_timestamp(), crawl_id = %(crawl)s
WHERE a.asset_id IN (
  SELECT b.asset_id FROM dataml.asset b
  WHERE b.crawl_scope = (SELECT scope FROM dataml.crawl WHERE crawl_id = %(crawl)s) AND b.status = 'active' AND b.merged_into IS NULL
    AND b.location ->> 'relation' LIKE ANY (%(including)s::text[]) AND NOT b.location ->> 'relation' LIKE ANY (%(excluding)s::text[])
    AND NOT EXISTS (SELECT FROM pg_temp.dataml_seen s WHERE s.asset_id = b.asset_id)
  ORDER BY b.asset_id FOR NO KEY UPDATE)
"""


class PostgresTables:
    """The tables of a PostgreSQL database, whoever's it is.

    :param connection: to that database; a role that may connect sees every table's description.
    """

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    @property
    def place(self) -> Place:
        """Where it is."""
        host, _, rest = self._db.target.rpartition(":")
        port, _, database = rest.partition("/")
        return Place(host, int(port.split(",")[0]), database)

    def pages(self, scope: CrawlScope) -> Iterator[Sequence[FoundTable]]:
        """Yield every table within a scope in pages, from one snapshot and a cursor on the server."""
        with self._db.transaction():
            ours = self._db.one(_OURS)["schemas"]
            if ours is None:
                ours = self._db.one(_BRANCHES)["schemas"] or []
            params = {"ours": ours, "including": scope.including, "excluding": scope.excluding}
            with self._db.raw.cursor(name="dataml_crawl") as cursor:
                cursor.execute(_LIST, params)
                while page := cursor.fetchmany(_PAGE):
                    yield [_found(row) for row in page]


class PostgresCrawls:
    """Crawls in the ledger.

    :param connection: the ledger's, for the length of the crawl: what it saw is kept in the session.
    """

    def __init__(self, connection: Connection) -> None:
        self._db = connection
        self._catalog = PostgresCatalog(connection)

    @contextmanager
    def hold(self, scope: str) -> Iterator[None]:
        """Keep others from crawling the same scope meanwhile; a killed crawl holds nothing.

        :raises ConflictError: somebody does.
        """
        key = [f"dataml.crawl {scope}"]
        if not self._db.scalar("SELECT pg_try_advisory_lock(hashtextextended(%s, 0)) AS held", key):
            msg = f"{scope!r} is being crawled by somebody else: wait until that crawl has ended."
            raise ConflictError(msg)
        try:
            yield
        finally:
            if not self._db.raw.closed:
                self._db.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", key)

    def begin(self, scope: str, *, run_key: int) -> int:
        """Write down that a crawl starts, and that earlier ones of its scope which never ended will not."""
        with self._db.transaction():
            self._db.execute("SET LOCAL client_min_messages = warning")
            self._db.execute("DROP TABLE IF EXISTS pg_temp.dataml_seen")
            self._db.execute("CREATE TEMP TABLE dataml_seen (asset_id bigint)")
            self._db.execute(
                """UPDATE dataml.crawl SET state = 'abandoned', finished_at = clock_timestamp()
                   WHERE scope = %s AND state = 'running'""",
                [scope],
            )
            return int(
                self._db.one(
                    "INSERT INTO dataml.crawl (scope, run_key) VALUES (%s, %s) RETURNING crawl_id",
                    [scope, run_key],
                )["crawl_id"]
            )

    def register(self, entries: Iterable[AssetEntry]) -> Registered:
        """Lay a page over the catalog and remember what was seen."""
        page = list(entries)
        with self._db.transaction():
            done = self._catalog.register_all(page)
            self._db.execute(_SEEN, [[entry.name for entry in page]])
        return done

    def finish(self, crawl_id: int, *, within: CrawlScope, registered: Registered) -> int:
        """Mark what was not seen as missing, in one transaction with the crawl's end; returns how many."""
        from psycopg.types.json import Jsonb

        params = {"crawl": crawl_id, "including": within.including, "excluding": within.excluding}
        with self._db.transaction(), self._db.errors():
            missing = self._db.raw.execute(_MISSING, params).rowcount
            counts = registered.to_dict() | {"missing": missing}
            self._db.execute(
                """UPDATE dataml.crawl SET state = 'finished', finished_at = clock_timestamp(), counts = %s
                   WHERE crawl_id = %s""",
                [Jsonb(counts), crawl_id],
            )
        return missing

    def list(self, *, scope: str | None = None, limit: int = 50) -> list[dict[str, Any]]:
        """Return crawls, newest first."""
        return self._db.rows(
            """SELECT crawl_id, scope, state, started_at, finished_at, counts FROM dataml.crawl
               WHERE %s::text IS NULL OR scope = %s ORDER BY crawl_id DESC LIMIT %s""",
            [scope, scope, limit],
        )


def _found(row: dict[str, Any]) -> FoundTable:
    columns = _json(row["columns"])
    return FoundTable(
        schema=row["schema"],
        name=row["name"],
        letter=row["letter"],
        owner=row["owner"],
        comment=row["comment"],
        rows=rounded(row["rows"]),
        columns=tuple(Column(name, type_) for name, type_, _ in columns),
        comments=tuple((name, text) for name, _, text in columns if text),
        primary_key=tuple(_json(row["primary_key"])),
        definition=row["definition"],
        managed=row["managed"],
    )


def _json(value: Any) -> list[Any]:
    return json.loads(value) if isinstance(value, str) else value or []
