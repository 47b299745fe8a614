"""Registration in batches, hash-first: the ledger is asked which entries say something new, and only they are sent.

Everything is sent by COPY into temporary tables and laid over the catalog in a few statements. Locks are
taken in one order by everybody: rows that are there by their ids, then new ones by name, then schemas,
then aliases; whoever is caught in a deadlock with somebody else repeats the batch.
"""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_dataml.adapters.postgres import catalog_asking as ask
from airflow_dataml.adapters.postgres import catalog_merging as sql
from airflow_dataml.adapters.postgres.catalog_joining import join_assets
from airflow_dataml.core.catalog import Registered, schema_of, search_words
from airflow_dataml.core.catalog_names import table_alias
from airflow_dataml.core.catalog_search import slips
from airflow_dataml.core.errors import ConflictError, LedgerError, SpecError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.catalog import AssetEntry
    from airflow_dataml.core.refs import Relation

    # What is laid over the catalog at once: entries by their place, with the asset each is about.
    _Part = Mapping[int, tuple[AssetEntry, int | None]]

BATCH = 25_000
# For so few, a temporary table costs more than they do.
_FEW = 3
_TRIES = 6
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class _Schema(NamedTuple):
    """The content address of an entry's schema, the words of its columns, and the entry's own words."""

    key: str | None
    words: str
    own_words: str


class PostgresCatalog:
    """The catalog as a whole: registration in batches.

    :param connection: the ledger's connection; the caller closes it.
    """

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def register_all(self, entries: Iterable[AssetEntry], *, batch: int = BATCH) -> Registered:
        """Lay entries over the catalog, in their order; what says nothing new costs microseconds.

        Each batch is one transaction: a process killed in the middle leaves whole batches.

        :param batch: entries held in memory and sent at once.
        :raises SpecError: a declared asset is of another kind than it was declared before.
        """
        total = Registered()
        for page in _pages(entries, batch):
            total += self._page(page)
        return total

    def _page(self, page: Sequence[AssetEntry]) -> Registered:
        for attempt in range(_TRIES):
            try:
                with self._db.transaction():
                    return self._write(page)
            except (LedgerError, _RacedError) as err:
                if not _worth_repeating(err) or attempt == _TRIES - 1:
                    raise
        return Registered()

    def _write(self, page: Sequence[AssetEntry]) -> Registered:
        wanted = {row["ord"]: row["asset_id"] for row in self._ask(page)}
        new = 0
        for turn, part in enumerate(_rounds(page, wanted)):
            new += self._lay(part, again=turn > 0)
        return Registered(new, len(wanted) - new, len(page) - len(wanted))

    def _ask(self, page: Sequence[AssetEntry]) -> list[dict[str, Any]]:
        if len(page) <= _FEW:
            one = "SELECT %s::int AS ord, %s::text AS name, %s::text AS source, %s::text AS digest"
            said = [(number, e.name, e.source, e.digest) for number, e in enumerate(page)]
            question = ask.ASK.format(have=f"({' UNION ALL '.join([one] * len(page))})")
            return self._db.rows(question, [value for row in said for value in row])
        self._tables()
        self._copy("dataml_have", ((i, e.name, e.source, e.digest) for i, e in enumerate(page)))
        return self._db.rows(ask.ASK.format(have="pg_temp.dataml_have"))

    def _lay(self, part: _Part, *, again: bool) -> int:
        self._tables()
        schemas = {number: _schema(entry) for number, (entry, _) in part.items()}
        self._send(part, schemas)
        if again:
            # An earlier turn may have made what was not there when the ledger was asked.
            self._db.execute(ask.BY_NAME)
        self._db.execute(ask.BY_ALIAS)
        if self._db.scalar(
            "SELECT count(asset_id) > count(DISTINCT asset_id) AS twice FROM pg_temp.dataml_want"
        ):
            return self._lay_singly(part)
        self._db.rows(ask.LOCK)
        self._refuse_other_kinds()
        self._schemas(part, schemas)
        self._db.execute(ask.RENAME)
        self._db.execute(sql.SCHEMAS)
        changed = self._db.execute(sql.UPDATE)
        if changed:
            self._db.execute(sql.SEARCH_TEXT)
        new = self._insert(part, schemas)
        if new + changed != len(part):
            msg = f"assets of a batch of {len(part)} were written by others at the same time: register them again."
            raise _RacedError(msg)
        self._db.execute(ask.IDS_OF_NEW)
        self._names()
        return new

    def _insert(self, part: _Part, schemas: Mapping[int, _Schema]) -> int:
        if len(part) <= _FEW:
            return self._db.execute(sql.INSERT)
        words: set[str] = set()
        for number, (entry, _) in part.items():
            words.update(search_words(entry.name).split(), schemas[number].own_words.split())
        # Columns are the same over and over.
        for columns in {schema.words for schema in schemas.values()}:
            words.update(columns.split())
        self._db.execute("DELETE FROM pg_temp.dataml_word")
        self._copy("dataml_word", ((word, list(slips(word))) for word in words if not word.isdecimal()))
        self._db.execute(ask.WORDS)
        self._db.execute("SET LOCAL dataml.words = 'sent'")
        new = self._db.execute(sql.INSERT)
        self._db.execute("SET LOCAL dataml.words = ''")
        return new

    def _lay_singly(self, part: _Part) -> int:
        # Two names of one asset in one batch: whoever comes later speaks later.
        new = 0
        for number, (entry, asset_id) in part.items():
            new += self._lay({number: (entry, asset_id)}, again=True)
        return new

    def _names(self) -> None:
        for twin in self._db.rows(ask.TWINS):
            join_assets(self._db, loser=twin["stub"], winner=twin["asset"])
        self._db.execute(ask.ALIASES)
        if self._db.execute(sql.MERGE_DOCS) or self._db.scalar("SELECT 1 FROM pg_temp.dataml_doc LIMIT 1"):
            self._db.execute(sql.DOCS)

    def _refuse_other_kinds(self) -> None:
        row = self._db.row(ask.OTHER_KIND)
        if row:
            msg = f"asset {row['name']!r} is a {row['kind']} in the ledger and was declared a {row['wanted']}: choose another name."
            raise SpecError(msg)

    def _schemas(self, part: _Part, schemas: Mapping[int, _Schema]) -> None:
        blobs = {
            schema.key: part[number][0].columns or ()
            for number, schema in schemas.items()
            if schema.key is not None
        }
        if not blobs:
            return
        there = self._db.rows(
            "SELECT schema_hash FROM dataml.schema_blob WHERE schema_hash = ANY (%s)", [list(blobs)]
        )
        missing = set(blobs) - {row["schema_hash"] for row in there}
        self._db.execute("DELETE FROM pg_temp.dataml_blob")
        self._copy("dataml_blob", ((key, _json([[c.name, c.type] for c in blobs[key]])) for key in missing))
        self._db.execute(
            """INSERT INTO dataml.schema_blob (schema_hash, columns)
               SELECT schema_hash, columns FROM pg_temp.dataml_blob ORDER BY schema_hash ON CONFLICT DO NOTHING"""
        )

    def _send(self, part: _Part, schemas: Mapping[int, _Schema]) -> None:
        for table in ("want", "want_alias", "doc"):
            self._db.execute(f"DELETE FROM pg_temp.dataml_{table}")
        self._copy("dataml_want", (_row(number, *item, schemas[number]) for number, item in part.items()))
        self._copy(
            "dataml_want_alias",
            (
                (number, *alias)
                for number, (entry, _) in part.items()
                for alias in dict.fromkeys(entry.aliases)
            ),
        )
        self._copy(
            "dataml_doc",
            (
                (number, doc.name, doc.description, _list(doc.tags), _list(doc.terms))
                for number, (entry, _) in part.items()
                for doc in {doc.name: doc for doc in entry.column_docs}.values()
            ),
        )
        self._db.execute("ANALYZE pg_temp.dataml_want (asset_id, ord)")

    def _tables(self) -> None:
        self._db.execute("SET LOCAL client_min_messages = warning")
        for statement in ask.TABLES:
            self._db.execute(statement)

    def _copy(self, table: str, rows: Iterable[Sequence[Any]]) -> None:
        with (
            self._db.errors(),
            self._db.raw.cursor() as cursor,
            cursor.copy(f"COPY pg_temp.{table} FROM STDIN") as copy,
        ):
            for row in rows:
                copy.write_row(row)


class _RacedError(ConflictError):
    """An asset appeared while this batch was written; the batch is written again."""


def _schema(entry: AssetEntry) -> _Schema:
    key, words = (None, "") if entry.columns is None else schema_of(entry.columns)
    return _Schema(key, words, entry.own_words)


def _worth_repeating(err: Exception) -> bool:
    import psycopg

    return isinstance(err, _RacedError) or isinstance(err.__cause__, psycopg.errors.DeadlockDetected)


def local_alias(connection: Connection, relation: Relation) -> tuple[str, str]:
    """Return the OpenLineage name of a table in the ledger's own database."""
    host, _, rest = connection.target.rpartition(":")
    port, _, database = rest.partition("/")
    return table_alias(relation, host=host, port=int(port.split(",")[0]), database=database)


def _pages(entries: Iterable[AssetEntry], size: int) -> Iterator[list[AssetEntry]]:
    stream = iter(entries)
    while page := list(islice(stream, size)):
        yield page


def _rounds(
    page: Sequence[AssetEntry], wanted: Mapping[int, int | None]
) -> Iterator[dict[int, tuple[AssetEntry, int | None]]]:
    """Split what is wanted so that no asset is in a round twice: it is spoken of in order."""
    rest = list(wanted)
    while rest:
        taken: dict[int, tuple[AssetEntry, int | None]] = {}
        names: set[str | int] = set()
        later = []
        for number in sorted(rest):
            keys: set[str | int] = {page[number].name}
            if (known := wanted[number]) is not None:
                keys.add(known)
            if names & keys:
                later.append(number)
            else:
                taken[number] = (page[number], known)
            names |= keys
        yield taken
        rest = later


def _row(number: int, entry: AssetEntry, asset_id: int | None, schema: _Schema) -> tuple[Any, ...]:
    said = {
        "subtype": entry.subtype, "owner": entry.owner, "description": entry.description,
        "documentation": entry.documentation, "importance": entry.importance, "tags": entry.tags, "terms": entry.terms,
        "domain": entry.domain, "asset_group": entry.asset_group, "freshness_s": entry.freshness_s,
    }  # fmt: skip
    by = {field: entry.source for field, value in said.items() if value not in (None, ())}
    if entry.columns is not None:
        by["columns"] = entry.source
    return (
        number, asset_id, entry.name, entry.kind, entry.uri, entry.subtype, entry.owner, entry.description,
        entry.documentation, entry.importance, _list(entry.tags), _list(entry.terms), entry.domain,
        entry.asset_group, entry.freshness_s, _json(dict(entry.location)) if entry.location else "{}", schema.key,
        f"{schema.own_words} {schema.words}".strip(), _json(by), entry.digest, entry.source, entry.crawl_scope,
    )  # fmt: skip


def _list(words: tuple[str, ...]) -> str | None:
    return _json(list(dict.fromkeys(words))) if words else None


def _json(value: Any) -> str:
    return _ENCODER.encode(value)
