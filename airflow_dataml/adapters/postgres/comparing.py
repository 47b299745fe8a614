"""The rows two manifests do not share, counted in the database.

With keys it is a full join of the parts only one side has, cut into slices of keys where parts allow it.
Unchanged pairs fall into one group that is counted and forgotten; each changed row is a group of its own,
known by its key and by which columns differ. So one pass gives the counts, the changed columns, the
sampled keys, and whether the keys were keys: without repetitions, pairs and single rows add up to the
rows of either side.

Without keys rows are counted by their hash, once for each side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from airflow_dataml.adapters.postgres.comparison import comparison_of
from airflow_dataml.adapters.postgres.ddl import literal
from airflow_dataml.adapters.postgres.key_ranges import slices_of
from airflow_dataml.adapters.postgres.profiles import reading
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.stores import ColumnDelta, RowDiff

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.adapters.postgres.comparison import Comparison
    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.adapters.postgres.key_ranges import Slice
    from airflow_dataml.core.datasets import Column, Part

# With little memory the planner merges over the parts' indexes, which is half the work of a hash join whose
# table has left the processor's caches. Grouping hashes of rows does want memory.
_JOIN_MEMORY, _GROUP_MEMORY = "4MB", "64MB"
# The same row may come several times; each is shown once.
_OVERFETCH = 4
_KEYED = """
WITH joined AS MATERIALIZED (
  SELECT g, count(*) AS n FROM ({pairs}) pairs GROUP BY 1
), changed AS (
  SELECT g[1] AS kind, g[2] AS bits, g[3:] AS key, n FROM joined WHERE g IS NOT NULL
)
SELECT coalesce((SELECT n FROM joined WHERE g IS NULL), 0)::bigint AS same,
  coalesce(sum(n) FILTER (WHERE kind = 'inserted'), 0)::bigint AS inserted,
  coalesce(sum(n) FILTER (WHERE kind = 'updated'), 0)::bigint AS updated,
  coalesce(sum(n) FILTER (WHERE kind = 'deleted'), 0)::bigint AS deleted,
  coalesce(bool_or(n > 1 OR array_position(key, NULL) IS NOT NULL), false) AS unkeyed,
  (SELECT jsonb_object_agg(i, times) FROM (
     SELECT i, sum(n) AS times
     FROM (SELECT bits, sum(n) AS n FROM changed WHERE kind = 'updated' GROUP BY bits) alike,
          unnest(bits::boolean[]) WITH ORDINALITY flags(differs, i)
     WHERE differs GROUP BY i) counted) AS columns,
  (SELECT jsonb_object_agg(kind, keys) FROM (VALUES ('inserted'), ('updated'), ('deleted')) kinds(kind), LATERAL (
     SELECT jsonb_agg(to_jsonb(key)) AS keys FROM (
       SELECT key FROM changed WHERE changed.kind = kinds.kind ORDER BY length(key[1]), key LIMIT {samples}) shown) few
  ) AS keys
FROM changed
"""
_PAIRS = """
SELECT CASE WHEN {changed} THEN ARRAY[{kind}, {bits}, {key}] END AS g
FROM ({old}) o FULL JOIN ({new}) n ON {match}
"""
_KEYLESS = """
WITH differing AS MATERIALIZED (
  SELECT h, sum(side) AS n FROM (
    SELECT {hash} AS h, -1 AS side FROM ({old}) r UNION ALL SELECT {hash}, 1 FROM ({new}) r) rows
  GROUP BY h HAVING sum(side) <> 0
)
SELECT coalesce(sum(n) FILTER (WHERE n > 0), 0)::bigint AS inserted,
  coalesce(-sum(n) FILTER (WHERE n < 0), 0)::bigint AS deleted,
  (SELECT jsonb_agg(s) FROM (SELECT ARRAY[{values}] AS s FROM ({new}) r
     WHERE {hash} IN (SELECT h FROM differing WHERE n > 0) LIMIT {samples}) shown) AS new_rows,
  (SELECT jsonb_agg(s) FROM (SELECT ARRAY[{values}] AS s FROM ({old}) r
     WHERE {hash} IN (SELECT h FROM differing WHERE n < 0) LIMIT {samples}) shown) AS old_rows
FROM differing
"""


def compare_parts(
    db: Connection,
    *,
    columns: Sequence[Column],
    keys: Sequence[str],
    old: Sequence[Part],
    new: Sequence[Part],
    samples: int,
) -> RowDiff:
    """Compare the rows of two manifests; parts they share, or that have equal content, are not read.

    Where one side has no part of its own, its rows are not matched: they are counted already.

    :param columns: what is compared, keys among it, in the types both sides can be cast to.
    :param keys: columns that name a row; without any, equal rows cancel out and the rest is inserted or deleted.
    :param samples: rows of each kind to show, as text.
    :raises SpecError: a key is no column, or does not name one row: it is null, or occurs twice in a version.
    """
    with reading(db):
        _settle(db, _JOIN_MEMORY if keys else _GROUP_MEMORY)
        task = comparison_of(db, columns=columns, keys=keys, old=old, new=new, samples=samples)
        if not task.old or not task.new:
            found = _one_sided(db, task)
        else:
            found = _keyed(db, task) if keys else _keyless(db, task)
    read = tuple(p.part_id for p in (*task.old, *task.new))
    return RowDiff(keys=tuple(keys), read_parts=read, shared_parts=len(new) - len(task.new), **found)


def _one_sided(db: Connection, task: Comparison) -> dict[str, Any]:
    """Everything of a side is inserted or deleted, and how much that is the ledger knows."""
    return {
        "inserted": _rows(task.new),
        "updated": 0,
        "deleted": _rows(task.old),
        "samples": {
            "inserted": _few(db, task, task.new, task.samples),
            "updated": [],
            "deleted": _few(db, task, task.old, task.samples),
        },
    }


def _few(db: Connection, task: Comparison, parts: Sequence[Part], number: int) -> list[dict[str, str | None]]:
    if not parts or not number:
        return []
    rows = db.rows(f"SELECT ARRAY[{task.values()}] AS s FROM ({task.side(parts)}) r LIMIT {number}")
    return [task.named(row["s"]) for row in rows]


def _keyed(db: Connection, task: Comparison) -> dict[str, Any]:
    slices = slices_of(db, task.old, task.new, key=task.columns[0].name)
    joined = [s for s in slices if s.joined]
    alone = {
        "inserted": [piece.part for s in slices if not s.joined for piece in s.new],
        "deleted": [piece.part for s in slices if not s.joined for piece in s.old],
    }
    if not joined:
        return _one_sided(db, task)
    pairs = " UNION ALL ".join(_pairs(task, one) for one in joined)
    row = db.one(_KEYED.format(pairs=pairs, samples=task.samples))
    met = row["same"] + row["updated"]
    if (
        row["unkeyed"]
        or met + row["deleted"] != _rows(task.old) - _rows(alone["deleted"])
        or met + row["inserted"] != _rows(task.new) - _rows(alone["inserted"])
    ):
        _refuse_keys(db, task)
    counted = {task.columns[task.keys + int(i) - 1].name: n for i, n in (row["columns"] or {}).items()}
    samples = _samples(db, task, row["keys"])
    for kind, parts in alone.items():
        samples[kind] += _few(db, task, parts, task.samples - len(samples[kind]))
    return {
        "inserted": row["inserted"] + _rows(alone["inserted"]),
        "updated": row["updated"],
        "deleted": row["deleted"] + _rows(alone["deleted"]),
        "columns": tuple(ColumnDelta(c.name, counted[c.name]) for c in task.columns if c.name in counted),
        "samples": samples,
    }


def _pairs(task: Comparison, one: Slice) -> str:
    keys, rest = task.names(stop=task.keys), task.names(task.keys)
    absent = "o.c0 IS NULL OR n.c0 IS NULL"
    differ = f"({_of('o', rest)}) IS DISTINCT FROM ({_of('n', rest)})" if rest else "false"
    bits = ", ".join(f"o.{c} IS DISTINCT FROM n.{c}" for c in rest)
    return _PAIRS.format(
        changed=f"{absent} OR {differ}",
        kind="CASE WHEN o.c0 IS NULL THEN 'inserted' WHEN n.c0 IS NULL THEN 'deleted' ELSE 'updated' END",
        bits=f"CASE WHEN NOT ({absent}) THEN ARRAY[{bits}]::boolean[]::text END",
        key=", ".join(f"coalesce(o.{c}, n.{c})::text" for c in keys),
        match=" AND ".join(f"o.{c} = n.{c}" for c in keys),
        old=task.pieces(one.old),
        new=task.pieces(one.new),
    )


def _of(side: str, names: Sequence[str]) -> str:
    return ", ".join(f"{side}.{name}" for name in names)


def _rows(parts: Sequence[Part]) -> int:
    return sum(p.rows for p in parts)


def _samples(
    db: Connection, task: Comparison, keys: dict[str, list[list[str]] | None]
) -> dict[str, list[Any]]:
    """Read the rows of the sampled keys; parts have an index over the keys of their layout."""
    wanted = {kind: [tuple(key) for key in found or ()] for kind, found in keys.items()}
    old = _by_key(db, task, task.old, [*wanted["updated"], *wanted["deleted"]])
    new = _by_key(db, task, task.new, [*wanted["updated"], *wanted["inserted"]])
    return {
        "inserted": [new[key] for key in wanted["inserted"]],
        "updated": [[old[key], new[key]] for key in wanted["updated"]],
        "deleted": [old[key] for key in wanted["deleted"]],
    }


def _by_key(
    db: Connection, task: Comparison, parts: Sequence[Part], keys: Sequence[tuple[str, ...]]
) -> dict[tuple[str, ...], dict[str, str | None]]:
    if not keys:
        return {}
    names = task.names(stop=task.keys)
    listed = ", ".join(
        f"({', '.join(f'{literal(db, value)}::{task.type(i)}' for i, value in enumerate(key))})"
        for key in keys
    )
    rows = db.rows(
        f"""SELECT ARRAY[{", ".join(f"r.{c}::text" for c in names)}] AS key, ARRAY[{task.values()}] AS s
            FROM ({task.side(parts)}) r WHERE ({", ".join(f"r.{c}" for c in names)}) IN ({listed})"""
    )
    return {tuple(row["key"]): task.named(row["s"]) for row in rows}


def _keyless(db: Connection, task: Comparison) -> dict[str, Any]:
    row = db.one(
        _KEYLESS.format(
            hash=task.row_hash(),
            old=task.side(task.old),
            new=task.side(task.new),
            values=task.values(),
            samples=task.samples * _OVERFETCH,
        )
    )
    samples = {"inserted": row["new_rows"] or [], "deleted": row["old_rows"] or []}
    return {
        "inserted": row["inserted"],
        "updated": 0,
        "deleted": row["deleted"],
        "samples": {"updated": []} | {kind: _distinct(task, rows) for kind, rows in samples.items()},
    }


def _distinct(task: Comparison, rows: Sequence[Sequence[str | None]]) -> list[dict[str, str | None]]:
    return [task.named(values) for values in dict.fromkeys(map(tuple, rows))][: task.samples]


def _refuse_keys(db: Connection, task: Comparison) -> NoReturn:
    names = task.names(stop=task.keys)
    nulls = " OR ".join(f"r.{c} IS NULL" for c in names)
    found = []
    for which, parts in (("old", task.old), ("new", task.new)):
        row = db.one(
            f"""SELECT (SELECT count(*) FROM ({task.side(parts)}) r WHERE {nulls}) AS nulls,
                       (SELECT count(*) FROM (SELECT FROM ({task.side(parts)}) r WHERE NOT ({nulls})
                                              GROUP BY {", ".join(names)} HAVING count(*) > 1) k) AS twice"""
        )
        found += [f"{n} {what} in the {which} version" for what, n in _faults(row) if n]
    by = ", ".join(c.name for c in task.columns[: task.keys])
    msg = (
        f"rows cannot be matched by ({by}): {', '.join(found) or 'a part does not hold the rows it was staged with'}. "
        "Name columns that identify a row, or compare without keys."
    )
    raise SpecError(msg)


def _faults(row: dict[str, int]) -> list[tuple[str, int]]:
    return [("rows with a null key", row["nulls"]), ("keys that occur more than once", row["twice"])]


def _settle(db: Connection, memory: str) -> None:
    # Workers would have to sort what they grouped before it can be put together.
    db.execute(
        "SELECT set_config('max_parallel_workers_per_gather', '0', true), set_config('work_mem', %s, true)",
        [memory],
    )
