"""What a fingerprint and a profile cost, beside the usual ways and beside the checks of the same table.

CPU seconds of the server, parallel workers included, the best of several rounds; every way in turn, so
that a busy machine is busy for all of them.

    python -m dev.bench.profile [--rows 5000000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from airflow_dataml.adapters.native import NativeEngine
from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.fingerprints import describe_relation, fingerprint_relation
from airflow_dataml.adapters.postgres.profiles import profile_relation
from airflow_dataml.core.contract import Contract
from airflow_dataml.core.datasets import Column
from airflow_dataml.core.profiles import CELLS
from airflow_dataml.core.refs import Relation
from dev.bench.orders import CONTRACT, NOW, make_orders
from dev.embedded import embedded_postgres, ensure_database

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ORDERS = Relation("public", "orders")
MD5 = "SELECT count(*), bit_xor(('x' || left(md5(t::text), 16))::bit(64)::bigint) FROM orders t"
HASHED_TEXT = "SELECT count(*), bit_xor(hashtextextended(t::text, 0)) FROM orders t"
# The contract of ``dev.bench.orders`` as one person would write it: one scan, one sort, one join.
CHECKS = (
    """SELECT count(*), count(order_id), count(customer_id), count(status), count(country), count(email),
       count(quantity), count(unit_price), count(amount), min(unit_price), max(quantity), avg(amount), sum(amount),
       max(created_at), count(*) FILTER (WHERE status NOT IN ('new', 'paid', 'packed', 'shipped', 'delivered', 'returned', 'cancelled')),
       count(*) FILTER (WHERE NOT country ~ '^[A-Z]{2}$'), count(*) FILTER (WHERE currency NOT IN ('EUR', 'USD', 'GBP', 'JPY', 'CHF')),
       count(*) FILTER (WHERE NOT email ~ '^[^@\\s]+@[^@\\s]+\\.[a-zA-Z]{2,}$'), count(*) FILTER (WHERE quantity NOT BETWEEN 0 AND 1000),
       count(*) FILTER (WHERE discount NOT BETWEEN 0 AND 1), count(*) FILTER (WHERE amount < 0) FROM orders""",
    "SELECT count(order_id) - count(DISTINCT order_id) FROM orders",
    """SELECT count(*) FROM orders o LEFT JOIN customers c USING (customer_id)
       WHERE c.customer_id IS NULL AND o.customer_id IS NOT NULL""",
)


def ways(db: Connection) -> dict[str, Callable[[], Any]]:
    """Everything that is measured, by name."""
    columns = _columns(db)
    grids: dict[str, tuple[float, float]] = {}
    profile_relation(db, ORDERS, columns, grids)
    return {
        "count(*)": lambda: db.scalar("SELECT count(*) FROM orders"),
        "fingerprint": lambda: fingerprint_relation(db, ORDERS),
        "xor of md5(row::text)": lambda: db.rows(MD5),
        "xor of hashtextextended(row::text)": lambda: db.rows(HASHED_TEXT),
        "profile": lambda: profile_relation(db, ORDERS, columns, grids),
        "profile and fingerprint": lambda: describe_relation(db, ORDERS, columns, grids),
        "same, grids not known yet": lambda: describe_relation(db, ORDERS, columns, {}),
        "profile column by column": lambda: column_by_column(db, columns, grids),
        "24 checks": lambda: [db.rows(statement) for statement in CHECKS],
        "24 checks by the native engine": lambda: _verify(db),
    }


def _verify(db: Connection) -> Any:
    return NativeEngine().verify(
        contract=Contract.from_text(CONTRACT),
        relation=ORDERS,
        connection=db.raw,
        variables={},
        data_timestamp=datetime.fromisoformat(NOW),
        timeout_s=600,
        references={},
    )


def column_by_column(
    db: Connection, columns: Sequence[Column], grids: dict[str, tuple[float, float]]
) -> list[Any]:
    """The profile as it was made before: two scans per number, one grouping per any other column."""
    found = []
    for column in columns:
        name = f'"{column.name}"'
        if column.name in grids:
            low, high = grids[column.name]
            found += db.rows(
                f"""SELECT count(x), min(x), max(x), sum(x), sum(x * x) FILTER (WHERE abs(x) > 1e-150) FROM (
                SELECT {name}::double precision AS x FROM orders WHERE {name}::double precision BETWEEN -1e150 AND 1e150) t"""
            )
            found += db.rows(
                f"""SELECT width_bucket({name}::double precision, {low!r}, {high!r}, {CELLS}), count(*) FROM orders
                WHERE {name}::double precision BETWEEN -1e150 AND 1e150 GROUP BY 1"""
            )
        else:
            found += db.rows(
                f"""SELECT v, n, sum(n) OVER (), count(*) OVER () FROM (SELECT left({name}::text, 200) AS v, count(*) AS n
                FROM orders WHERE {name} IS NOT NULL GROUP BY 1) t ORDER BY n DESC, v LIMIT 256"""
            )
    return found


def measure(db: Connection, run: Callable[[], Any]) -> tuple[float, float]:
    """CPU and wall seconds of one way."""
    pid = db.raw.info.backend_pid
    server = _stat(pid)[1]
    before, started = _spent(pid, server), time.monotonic()
    run()
    return _spent(pid, server) - before, time.monotonic() - started


def _spent(backend: int, server: int) -> float:
    """CPU seconds of a backend and of every child its server has seen end, as parallel workers do."""
    own, ended = _stat(backend)[11:13], _stat(server)[13:15]
    return sum((*own, *ended)) / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[int]:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [0, *(int(field) for field in fields[1:])]


def _columns(db: Connection) -> list[Column]:
    query = """SELECT attname AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute
               WHERE attrelid = 'orders'::regclass AND attnum > 0 ORDER BY attnum"""
    return [Column(**row) for row in db.rows(query)]


def report(rows: int, rounds: int) -> None:
    """Measure and print."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-profile-", ignore_cleanup_errors=True) as folder,
        embedded_postgres(Path(folder) / "data") as server,
    ):
        dsn = ensure_database(server, "bench")
        with psycopg.connect(dsn, autocommit=True) as admin:
            # Its workers would be counted as ours.
            admin.execute("ALTER SYSTEM SET autovacuum = off")
            admin.execute("SELECT pg_reload_conf()")
            make_orders(admin, rows=rows)
        with Connection(dsn) as db:
            db.execute("SET jit = off")
            found = ways(db)
            costs: dict[str, list[tuple[float, float]]] = {name: [] for name in found}
            for _ in range(rounds):
                for name, run in found.items():
                    costs[name].append(measure(db, run))
    best = {name: (min(c for c, _ in times), min(w for _, w in times)) for name, times in costs.items()}
    print(f"{rows:,} rows x 12 columns, best of {rounds}")
    print(f"{'':38}{'CPU s':>8}{'wall s':>8}{'x fingerprint':>15}{'x checks':>10}")
    for name, (cpu, wall) in best.items():
        mark, checks = cpu / best["fingerprint"][0], cpu / best["24 checks"][0]
        print(f"{name:38}{cpu:8.2f}{wall:8.2f}{mark:14.2f}x{checks:9.2f}x")


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    report(options.rows, options.rounds)


if __name__ == "__main__":
    main()
