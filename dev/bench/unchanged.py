"""What verifying a table again costs: as it was, with 1 % more rows, with 0.1 % of them changed here and there.

The table is ``orders`` under its 24 checks; nobody publishes it through the ledger. Each time a full
verification is the other side, in turn, and both must find the same. Server CPU is that of PostgreSQL's
whole process tree.

    python -m dev.bench.unchanged --rows 5000000 --repeat 3
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg

from airflow_dataml.adapters.native import NativeEngine
from airflow_dataml.core.contract import Contract
from dev.bench.orders import CONTRACT, ROWS, make_orders
from dev.bench.quality import ORDERS, WHEN, measure
from dev.embedded import embedded_postgres, ensure_database

if TYPE_CHECKING:
    from airflow_dataml.core.quality import QualityReport
    from airflow_dataml.core.segments import Reading, State
    from dev.bench.quality import Cost

# What happens to the table before each verification; numbers of rows are those of the table.
STORY = {
    "first time": "",
    "unchanged": "",
    "vacuum": "VACUUM orders",
    "1 % appended": """
        INSERT INTO orders SELECT order_id + 10000000000, customer_id, status, country, currency, email, sku,
          quantity, unit_price, discount, amount, created_at FROM orders LIMIT {rows} / 100""",
    "0.1 % updated, recent": "UPDATE orders SET quantity = quantity + 1 WHERE order_id > 10000000000 + {rows} / 1000 * 9",
    "0.1 % updated, scattered": "UPDATE orders SET quantity = quantity + 1 WHERE order_id % 1000 = 7",
    "unchanged again": "",
}


class Bench:
    """The two contenders on one database, and what is kept from one verification to the next."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.contract = Contract.from_text(CONTRACT)
        self.engine = NativeEngine(connect=self.connect)
        self.kept: dict[int, State] = {}
        self.reading: Reading | None = None

    def incremental(self) -> dict[str, Any]:
        """Measure what changed."""
        with self.connect() as connection:
            report, self.reading = self.engine.verify_changes(
                known=self.kept, connection=connection, **self._asked()
            )
        return found_in(report)

    def full(self) -> dict[str, Any]:
        """Measure everything."""
        with self.connect() as connection:
            return found_in(self.engine.verify(connection=connection, **self._asked()))

    def keep(self) -> None:
        """Remember the last reading."""
        if self.reading is not None:
            self.kept |= self.reading.states

    def connect(self) -> psycopg.Connection[Any]:
        """Open a connection."""
        return psycopg.connect(self.dsn, autocommit=True)

    def _asked(self) -> dict[str, Any]:
        return {
            "contract": self.contract, "relation": ORDERS, "variables": {},
            "data_timestamp": WHEN, "timeout_s": 600, "references": {},
        }  # fmt: skip


def found_in(report: QualityReport) -> dict[str, Any]:
    """Return what each check observed, to be compared."""
    if report.errors:
        raise RuntimeError(report.errors)
    return {check.id: (check.verdict.value, check.observed) for check in report.checks}


def run(dsn: str, *, rows: int, repeat: int) -> None:
    """Let the table's story happen, and verify it both ways after each chapter."""
    bench = Bench(dsn)
    with bench.connect() as connection:
        make_orders(connection, rows=rows)
        row = connection.execute(
            "SELECT pg_backend_pid(), pg_size_pretty(pg_table_size('orders'))"
        ).fetchone()
        pid, size = row or (0, "")
        postmaster = psutil.Process(pid).parent()
        if postmaster is None:
            msg = "the server's first process is not on this machine"
            raise RuntimeError(msg)
        print(f"orders: {rows:,} rows, {size}; load {os.getloadavg()[0]:.1f}; medians of {repeat}")
        print(
            f"\n{'':26}{'ranges':>10}{'server CPU s':>14}{'wall s':>9}{'full: CPU':>12}{'wall':>8}{'CPU ratio':>11}"
        )
        for name, statement in STORY.items():
            if statement:
                connection.execute(statement.format(rows=rows).encode())
            part = [measure(postmaster, bench.incremental) for _ in range(repeat)]
            whole = [measure(postmaster, bench.full) for _ in range(repeat)]
            bench.keep()
            print_line(name, bench, part, whole)


def print_line(name: str, bench: Bench, part: list[Cost], whole: list[Cost]) -> None:
    """Print medians of both sides, and whether they found the same."""
    reading = bench.reading.to_dict() if bench.reading is not None else {}
    read, total = reading.get("read", "all"), reading.get("of", "all")
    ours, theirs = (statistics.median(cost.server for cost in costs) for costs in (part, whole))
    walls = [statistics.median(cost.wall for cost in costs) for costs in (part, whole)]
    same = "" if part[0].found == whole[0].found else f"  DIFFERENT: {differences(part[0], whole[0])}"
    print(
        f"{name:26}{f'{read}/{total}':>10}{ours:14.2f}{walls[0]:9.2f}{theirs:12.2f}{walls[1]:8.2f}{ours / theirs:11.2f}{same}",
        flush=True,
    )


def differences(one: Cost, other: Cost) -> dict[str, Any]:
    """Return what two verifications disagree about."""
    return {key: (value, other.found[key]) for key, value in one.found.items() if value != other.found[key]}


def main() -> None:
    """Read the arguments, start a server, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dataml-bench-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with embedded_postgres(Path(folder) / "data") as server:
            run(ensure_database(server, "bench"), rows=given.rows, repeat=given.repeat)


if __name__ == "__main__":
    main()
