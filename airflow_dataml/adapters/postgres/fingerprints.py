"""Fingerprints of relations, alone or in the scan that profiles them.

Algorithm ``pg2``, in 64 bits::

    row   = mix(hash(column, seed of its name) # ...), a null column adding nothing
    xor   = bit_xor(row)
    total = sum(row) modulo 2^64
    mix   = hashint4extended(0, .)

Columns count by name, wherever they lie; one that is null counts like one that is not there, so rows
written before a column was added keep their part of the sum. The hashes are the server's own and follow
its equality: ``-0.0`` is ``0.0``, ``1.0`` is ``1.00``, an integer is that bigint, a varchar that text.

What is added to them is there for a reason. Without ``mix`` values that changed places between rows would
cancel out in the sum, and in the xor where rows come twice. The server folds a bigint to 32 bits, so that
1 and 2^32 are one: bigints beyond integers enter by their upper bits once more. It hashes a numeric NaN or 0
and empty containers to hardly more than the seed, or not even that: those are mixed by themselves. Moments,
times, intervals, and bigints inside of arrays, ranges and composites do enter by 32 bits: a single change
of one goes unseen once in 4e9.

A type without a hash of its own (json, xml, points, or whatever holds them) is hashed as text, under
fixed settings, so two json values are equal only if written alike.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.profiles import reading, scan_relation
from airflow_dataml.core.datasets import Fingerprint
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.refs import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.datasets import Column
    from airflow_dataml.core.refs import Relation

# Columns as they lie, with the type below domains, and whether a null in one would be a surprise.
_COLUMNS = """
WITH RECURSIVE below AS (
    SELECT a.attnum, a.attname, a.atttypid AS type_id, a.attnotnull OR EXISTS (
        SELECT 1 FROM pg_stats s WHERE s.schemaname = n.nspname AND s.tablename = c.relname
        AND s.attname = a.attname AND s.null_frac = 0) AS filled
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.oid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT b.attnum, b.attname, t.typbasetype, b.filled
    FROM below b JOIN pg_type t ON t.oid = b.type_id AND t.typtype = 'd')
SELECT b.attname AS name, format_type(b.type_id, NULL) AS type, b.filled
FROM below b JOIN pg_type t ON t.oid = b.type_id AND t.typtype <> 'd' ORDER BY b.attnum
"""
# Types whose hash depends on the seed as on a key; null gives null.
_DIRECT = {
    "smallint": "hashint2extended({c}, {s})",
    "integer": "hashint4extended({c}, {s})",
    "bigint": "hashint8extended({c}, {s})",
    "boolean": "hashint4extended({c}::integer, {s})",
    "real": "hashfloat4extended({c}, {s})",
    "double precision": "hashfloat8extended({c}, {s})",
    "numeric": "hashint4extended(0, hash_numeric_extended({c}, {s}))",
    "text": "hashtextextended({c}, {s})",
    "character varying": "hashtextextended({c}, {s})",
    "character": "hashbpcharextended({c}, {s})",
    "timestamp without time zone": "timestamp_hash_extended({c}, {s})",
    "uuid": "uuid_hash_extended({c}, {s})",
    # An empty array and an empty object have one hash.
    "jsonb": "hashint4extended(({c} = '[]')::integer, {m} # jsonb_hash_extended({c}, {s}))",
}
# Functions that came with PostgreSQL 18; a record of one column has the same hash, more slowly.
_LATER = {
    "timestamp with time zone": "timestamptz_hash_extended({c}, {s})",
    "date": "hashdateextended({c}, {s})",
}
_RECORD = "hash_record_extended(ROW({c}), {s})"
# The hash of an empty array does not know the seed.
_MIXED = (
    "CASE WHEN {c} IS DISTINCT FROM NULL "
    "THEN hashint4extended(0, {m} # hash_record_extended(ROW({c}), {s})) END"
)
_AS_TEXT = "hashtextextended({c}::text, {s})"
_UPPER_BITS = "hashfloat8extended(nullif({c} >> 31, {c} >> 63), {s})"
_HASHED = frozenset(("inet", "interval", "bytea", "time without time zone"))
_UNHASHED = frozenset(("json", "xml", "point", "money"))
# A flat chain of a thousand operators would be as deep.
_TERMS_TOGETHER = 50
_UNSIGNED = 1 << 64
_AGGREGATES = """count(*) AS rows, coalesce(bit_xor(hashed.{h}), 0) AS row_xor, coalesce(sum(hashed.{h}), 0) AS row_total"""


def fingerprint_relation(db: Connection, relation: Relation) -> Fingerprint:
    """Read every row once; see ``core.datasets.Fingerprint``."""
    with reading(db):
        return _fingerprint(db.one(fingerprint_sql(db, relation)))


def fingerprint_sql(db: Connection, relation: Relation) -> str:
    """The statement that fingerprints a relation, for its plan."""
    aggregates, beside = _hashing(db, relation)
    return f"SELECT {aggregates} FROM {relation.quoted} t {beside}"


def describe_relation(
    db: Connection, relation: Relation, columns: Sequence[Column], grids: dict[str, tuple[float, float]]
) -> tuple[Fingerprint, dict[str, Any]]:
    """Fingerprint all columns and profile the given ones in one pass; ``grids`` gains those of new columns."""
    with reading(db):
        aggregates, beside = _hashing(db, relation)
        row, profile = scan_relation(db, relation, columns, grids, aggregates=aggregates, beside=beside)
    return _fingerprint(row), profile


def _fingerprint(row: Mapping[str, Any]) -> Fingerprint:
    return Fingerprint(row["rows"], row["row_xor"] % _UNSIGNED, int(row["row_total"]) % _UNSIGNED)


def _hashing(db: Connection, relation: Relation) -> tuple[str, str]:
    """The aggregates, and the join that gives each row its hash.

    The outer join makes the planner compute the hash once for both aggregates.
    """
    columns = db.rows(_COLUMNS, [relation.quoted])
    name = "row"
    while name in {c["name"] for c in columns}:
        name += "_"
    beside = f"LEFT JOIN LATERAL (SELECT {_row_hash(db, columns)} AS {name}) hashed ON true"
    return _AGGREGATES.format(h=name), beside


def _row_hash(db: Connection, columns: Sequence[Mapping[str, Any]]) -> str:
    forms = {type_: _form(db, type_) for type_ in dict.fromkeys(c["type"] for c in columns)}
    filled: list[str] = []
    terms: list[str] = []
    for column in columns:
        names = {"c": f"t.{quote_identifier(column['name'])}", "s": _seed(column["name"])}
        term = forms[column["type"]].format(**names, m=_seed(column["name"], "mixed"))
        (filled if column["filled"] else terms).append(term)
        if column["type"] == "bigint":
            names["s"] = _seed(column["name"], "upper bits")
            terms.append(_UPPER_BITS.format(**names))
    terms = [_or_nothing(term) for term in terms]
    for at in range(0, len(filled), _TERMS_TOGETHER):
        terms.append(_together(filled[at : at + _TERMS_TOGETHER]))
    terms = terms or ["0::bigint"]
    while len(terms) > 1:
        steps = range(0, len(terms), _TERMS_TOGETHER)
        terms = [f"({' # '.join(terms[at : at + _TERMS_TOGETHER])})" for at in steps]
    return f"hashint4extended(0, {terms[0]})"


def _together(terms: Sequence[str]) -> str:
    """Hashes of columns that hardly have a null: it is asked once for all of them, and only then for each."""
    return f"coalesce({' # '.join(terms)}, {' # '.join(map(_or_nothing, terms))})"


def _or_nothing(term: str) -> str:
    return f"coalesce({term}, 0)"


def _seed(*words: str) -> str:
    digest = hashlib.sha256("\0".join(words).encode()).digest()
    return f"'{int.from_bytes(digest[:8], signed=True)}'::bigint"


def _form(db: Connection, type_: str) -> str:
    """How a value of a type is hashed; placeholders for the column and two seeds."""
    if type_ in _DIRECT:
        return _DIRECT[type_]
    if type_ in _LATER:
        return _LATER[type_] if db.raw.info.server_version >= 180000 else _RECORD
    return _MIXED if _hashable(db, type_) else _AS_TEXT


def _hashable(db: Connection, type_: str) -> bool:
    """Whether PostgreSQL can hash a type; arrays, ranges and composites can if what they hold can."""
    if type_ in _HASHED or type_ in _UNHASHED:
        return type_ in _HASHED
    try:
        with db.transaction():
            db.scalar(f"SELECT hash_record_extended(ROW(NULL::{type_}), 0)")
    except SpecError:
        return False
    return True
