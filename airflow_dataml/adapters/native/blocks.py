"""Block ranges of a table's file, and which of them hold other rows than when they were measured.

A verification reads one snapshot. Its *horizon* is the oldest transaction that was unfinished then: whatever
is older was decided, and what it wrote and committed was seen. A later snapshot sees in a range

- a row version written at or after the horizon: the range has changed, or may have; it is measured again.
- older row versions only: all of them were seen before, since none of them can come back. If there are as
  many as before they are the same ones; if there are fewer some were deleted.

So an update in place, a delete with an insert in its stead and a transaction that was running are found by
the first rule, a delete by the number, and vacuum, locks, rolled back writes and hint bits by neither. What
this does not hold for gives the ground another name, and everything is measured again: another file (TRUNCATE,
VACUUM FULL, CLUSTER, a rewriting ALTER), other columns, a server that was restarted, restored or promoted (it may
have lost transactions and use their numbers anew), two thousand million transactions since.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow_dataml.adapters.native.catalog import Table
    from airflow_dataml.adapters.native.reader import Reader
    from airflow_dataml.core.refs import Relation

PAGES = 1024
MOST_RANGES = 1024
_LAST_BLOCK = 2**32 - 1
_OLDEST = 2**31
_TID_RANGE_SCANS = 140000
LOW, HIGH, NUMBER = '"dataml low"', '"dataml high"', '"dataml n"'

_KIND = """
SELECT c.relkind::text, coalesce(m.amname, ''), c.relkind = 'r' AND c.relhassubclass,
  pg_catalog.row_security_active(c.oid), pg_catalog.pg_is_in_recovery(), current_setting('server_version_num')::int
FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_am m ON m.oid = c.relam WHERE c.oid = %s
"""
# Texts and sessions' settings have a part in what SQL of a contract makes of a row.
_GROUND = """
SELECT pg_catalog.pg_relation_size(c.oid) / current_setting('block_size')::bigint,
  pg_catalog.pg_snapshot_xmin(s.now)::text::bigint,
  pg_catalog.pg_snapshot_xmin(s.now)::text::bigint + pg_catalog.age(pg_catalog.pg_snapshot_xmin(s.now)::xid),
  pg_catalog.md5(s.now::text),
  pg_catalog.md5(pg_catalog.json_build_array(
    (SELECT system_identifier FROM pg_catalog.pg_control_system()),
    pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8),
    pg_catalog.pg_postmaster_start_time(), c.oid, pg_catalog.pg_relation_filenode(c.oid),
    (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()),
    current_user, current_setting('search_path'), current_setting('TimeZone'), current_setting('block_size'),
    (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(
        a.attnum, a.attname, a.atttypid, a.atttypmod, a.attcollation, a.attmissingval::text,
        pg_catalog.pg_get_expr(d.adbin, d.adrelid),
        (SELECT pg_catalog.json_agg(e.enumlabel ORDER BY e.enumsortorder)
         FROM pg_catalog.pg_enum e WHERE e.enumtypid = a.atttypid)) ORDER BY a.attnum)
      FROM pg_catalog.pg_attribute a
      LEFT JOIN pg_catalog.pg_attrdef d ON a.attgenerated <> '' AND (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
  )::text)
FROM pg_catalog.pg_class c, (SELECT pg_catalog.pg_current_snapshot()) AS s(now) WHERE c.oid = %s
"""


@dataclass(frozen=True, slots=True)
class Ground:
    """What block ranges of a table stand on, in one snapshot.

    :param name: equal as long as rows keep their place and meaning.
    :param snapshot: names the transactions that are seen.
    :param horizon: the oldest transaction that is unfinished.
    :param next: the transaction that ages are counted from.
    :param pages: blocks of a range.
    :param count: ranges.
    """

    name: str
    snapshot: str
    horizon: int
    next: int
    pages: int
    count: int


@dataclass(frozen=True, slots=True)
class Range:
    """A block range as it was measured.

    :param key: names its content.
    :param horizon: of the snapshot it was measured in.
    """

    key: str
    ground: str
    rows: int
    horizon: int

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {"key": self.key, "ground": self.ground, "rows": self.rows, "horizon": self.horizon}


def obstacle(readers_whole: bool, reader: Reader, table: Table) -> str:
    """Return why a relation cannot be verified range by range; nothing if it can.

    :param readers_whole: whether all queries see one snapshot.
    """
    kind, method, inherited, secured, standby, version = reader.rows(_KIND, [table.oid])[0]
    if not readers_whole:
        return "the connection is in a transaction of its caller's"
    reasons = {
        "a partitioned table has no file of its own": kind == "p",
        "only tables and materialized views have blocks": kind not in ("r", "m", "p"),
        f"the access method {method} does not number rows as heap does": kind in ("r", "m")
        and method != "heap",
        "other tables inherit from it": inherited,
        "row security decides which rows are seen": secured,
        "a temporary table does not last": not table.shared,
        "a standby may see less than another server did": standby,
        "scans of block ranges came with PostgreSQL 14": version < _TID_RANGE_SCANS,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def survey(reader: Reader, table: Table, pages: int) -> Ground:
    """Look up what the ranges of a table stand on.

    The reader's snapshot and its lock on the table must be there already: the file is then the one that is
    read, and no row that is seen lies beyond its end.

    :param pages: blocks of a range, doubled while there would be too many ranges.
    """
    blocks, horizon, following, snapshot, name = reader.rows(_GROUND, [table.oid])[0]
    while -(-blocks // pages) > MOST_RANGES:
        pages *= 2
    return Ground(f"{name}/{pages}", snapshot, horizon, following, pages, -(-blocks // pages))


def ranges_sql(ground: Ground, numbers: Iterable[int]) -> str:
    """Return SQL of some ranges, one row each: number, first and end as tuple identifiers."""
    wanted = sorted(numbers)
    lows, highs = ([_tid(ground, number + step) for number in wanted] for step in (0, 1))
    arrays = (
        f"'{{{','.join(map(str, wanted))}}}'::int[]",
        *(f"ARRAY[{', '.join(ends)}]::tid[]" for ends in (lows, highs)),
    )
    return f'unnest({", ".join(arrays)}) AS "dataml ranges"({NUMBER}, {LOW}, {HIGH})'


def rows_sql(relation: Relation, low: str, high: str, *, extra: str = "") -> str:
    """Return SQL that reads the rows of one range, found by block.

    :param low: SQL of the first tuple identifier.
    :param high: SQL of the end.
    :param extra: more columns.
    """
    return f"(SELECT *{extra} FROM {relation.quoted} WHERE ctid >= {low} AND ctid < {high})"


def literal_range(ground: Ground, first: int, end: int) -> tuple[str, str]:
    """Return SQL of where a run of ranges begins and ends."""
    return f"{_tid(ground, first)}::tid", f"{_tid(ground, end)}::tid"


def probe(
    reader: Reader, relation: Relation, ground: Ground, known: Mapping[int, Range]
) -> tuple[dict[int, int], set[int]]:
    """Count the rows of every range and look for new ones, in one pass that evaluates nothing else.

    :returns: rows by range, and the ranges that are as they were measured.
    """
    if not ground.count:
        return {}, set()
    query = (
        f"SELECT {NUMBER}, n, age FROM {ranges_sql(ground, range(ground.count))}, LATERAL "
        f"(SELECT count(*), min(pg_catalog.age(xmin)) FROM {relation.quoted} "
        f"WHERE ctid >= {LOW} AND ctid < {HIGH}) AS found(n, age)"
    )
    rows: dict[int, int] = {}
    same: set[int] = set()
    for number, count, age in reader.rows(query):
        rows[number] = count
        kept = known.get(number)
        if kept is not None and _same(ground, kept, count, age):
            same.add(number)
    return rows, same


def _same(ground: Ground, kept: Range, rows: int, age: int | None) -> bool:
    if kept.ground != ground.name or kept.rows != rows or not 0 <= ground.next - kept.horizon < _OLDEST:
        return False
    # Ages are counted on a ring: a version older than half of it looks new, and is read once more.
    return age is None or ground.next - age < kept.horizon


def _tid(ground: Ground, number: int) -> str:
    return f"'({min(number * ground.pages, _LAST_BLOCK)},0)'"
