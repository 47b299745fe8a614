"""What 24 checks on ``orders`` cost: native, stock Soda, Soda on our connection, common-sql's SQL, and peers.

All of them run in turn within each repetition, on one server started for it. Wall is the verification
alone, without imports; PostgreSQL's CPU is that of its whole process tree, parallel workers included.

    python -m dev.bench.quality --rows 5000000 --repeat 3 [--peers /path/to/python]

``--peers`` names an interpreter that has Great Expectations, SQLAlchemy and psycopg.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg
from psycopg.conninfo import conninfo_to_dict

from airflow_dataml.adapters.native import NativeEngine
from airflow_dataml.adapters.soda import SodaEngine
from airflow_dataml.adapters.soda.vendor import prepare
from airflow_dataml.core.contract import Contract
from airflow_dataml.core.refs import Relation
from airflow_dataml.core.segments import Segment
from dev.bench import peers
from dev.bench.orders import CONTRACT, NOW, ROWS, make_orders
from dev.embedded import embedded_postgres, ensure_database

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_dataml.core.quality import QualityReport

ORDERS = Relation("public", "orders")
WHEN = datetime.fromisoformat(NOW)
BASE = "stock soda"


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of one verification, and what it found, to be compared."""

    wall: float
    server: float
    client: float
    found: dict[str, Any]


class Bench:
    """The contenders on one database; each call is one verification."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.contract = Contract.from_text(CONTRACT)
        self._state: dict[str, Any] = {}

    def native(self) -> dict[str, Any]:
        """Native with other connections to help."""
        return self._ours(NativeEngine(connect=self._connect))

    def native_alone(self) -> dict[str, Any]:
        """Native on the caller's connection only."""
        return self._ours(NativeEngine())

    def native_again(self) -> dict[str, Any]:
        """Native on a table that is one known segment."""
        return self._parts()

    def soda_engine(self) -> dict[str, Any]:
        """The real Soda through our adapter."""
        return self._ours(SodaEngine())

    def stock_soda(self) -> dict[str, Any]:
        """The real Soda as its own documentation runs it, on a connection of its own."""
        from soda_core.common.yaml import ContractYamlSource, DataSourceYamlSource
        from soda_core.contracts.contract_verification import ContractVerificationSession

        given = conninfo_to_dict(self.dsn)
        source = {
            "type": "postgres",
            "name": "bench",
            "connection": {
                "host": given["host"],
                "user": given["user"],
                "password": "unused",
                "database": given["dbname"],
            },
        }
        document = self.contract.document_for(ORDERS, database=str(given["dbname"]))
        # Soda does not know timestamptz by that name, and would fail its schema check.
        text = (
            json.dumps(document)
            .replace("dataml/", "bench/")
            .replace('"timestamptz"', '"timestamp with time zone"')
        )
        text = text.replace('"numeric(10, 2)"', '"numeric"').replace('"numeric(12, 2)"', '"numeric"')
        session = ContractVerificationSession.execute(
            contract_yaml_sources=[ContractYamlSource.from_str(text)],
            data_source_yaml_sources=[DataSourceYamlSource.from_str(json.dumps(source))],
            variables={},
            data_timestamp=NOW,
        )
        results = session.contract_verification_results[0].check_results
        return {result.check.relative_path: result.threshold_value for result in results}

    def common_sql(self) -> dict[str, Any]:
        """The statements that the check operators of Airflow's common-sql provider issue."""
        with self._connect() as connection:
            return peers.common_sql(connection)

    def start_state(self) -> None:
        """Measure the table once, so that a second verification has a state to stand on."""
        self._parts()

    def _parts(self) -> dict[str, Any]:
        segment = Segment("orders", ORDERS, self._state.get("orders"))
        with self._connect() as connection:
            report, new = NativeEngine().verify_parts(
                contract=self.contract, relation=ORDERS, segments=[segment], connection=connection,
                variables={}, data_timestamp=WHEN, timeout_s=600, references={},
            )  # fmt: skip
        self._state |= new
        return _observed(report)

    def _ours(self, engine: Any) -> dict[str, Any]:
        with self._connect() as connection:
            report = engine.verify(
                contract=self.contract,
                relation=ORDERS,
                connection=connection,
                variables={},
                data_timestamp=WHEN,
                timeout_s=600,
                references={},
            )
        return _observed(report)

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.dsn, autocommit=True)


def server_seconds(postmaster: psutil.Process) -> float:
    """CPU seconds of a server so far: its own, those of its processes, and of those that are gone."""
    own = postmaster.cpu_times()
    total = own.user + own.system + own.children_user + own.children_system
    for child in postmaster.children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return float(total)


def measure(postmaster: psutil.Process, work: Callable[[], dict[str, Any]]) -> Cost:
    """Run one verification and count its seconds."""
    server, client, started = server_seconds(postmaster), time.process_time(), time.perf_counter()
    found = work()
    wall = time.perf_counter() - started
    client = time.process_time() - client
    # A backend that is about to leave is counted once it is reaped.
    time.sleep(0.2)
    return Cost(wall, server_seconds(postmaster) - server, client, found)


def measure_peer(postmaster: psutil.Process, python: str, dsn: str, result_format: str) -> Cost:
    """Run Great Expectations in another interpreter, which times itself without its import."""
    server = server_seconds(postmaster)
    done = subprocess.run(
        [python, "-m", "dev.bench.peers", dsn, result_format],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"GX_ANALYTICS_ENABLED": "False"},
    )
    answer = json.loads(done.stdout.splitlines()[-1])
    time.sleep(0.2)
    return Cost(answer["wall"], server_seconds(postmaster) - server, answer["client"], answer["found"])


def print_table(costs: dict[str, list[Cost]], passes: float) -> None:
    """Print medians, the best wall, and ratios to stock Soda."""
    base = statistics.median(cost.wall for cost in costs[BASE])
    print(
        f"\n{'engine':24}{'wall s':>9}{'[best]':>9}{'server CPU s':>14}{'client CPU s':>14}{'x stock soda':>14}"
    )
    for name, found in costs.items():
        wall, server, client = (
            statistics.median(getattr(cost, key) for cost in found) for key in ("wall", "server", "client")
        )
        best = min(cost.wall for cost in found)
        print(f"{name:24}{wall:9.2f}{best:9.2f}{server:14.2f}{client:14.2f}{wall / base:14.2f}")
    print(f"count(*) alone: {passes:.2f} s")


def compare(costs: dict[str, list[Cost]]) -> None:
    """Say where an engine found other numbers than stock Soda."""
    expected = costs[BASE][0].found
    for name, found in costs.items():
        other = {
            key: (value, expected[key])
            for key, value in found[0].found.items()
            if key in expected
            and abs(float(value or 0) - float(expected[key] or 0)) > 1e-6 * abs(float(value or 0))
        }
        print(f"{name}: {other or 'the same numbers'}")


def run(dsn: str, *, rows: int, repeat: int, python: str | None, only: set[str]) -> None:
    """Measure all contenders in turn."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        make_orders(connection, rows=rows)
        row = connection.execute(
            "SELECT pg_backend_pid(), pg_size_pretty(pg_table_size('orders'))"
        ).fetchone()
        pid, size = row or (0, "")
        postmaster = psutil.Process(pid).parent()
        if postmaster is None:
            msg = "the server's first process is not on this machine"
            raise RuntimeError(msg)
        print(f"orders: {rows:,} rows, {size}; load {os.getloadavg()[0]:.1f}")
        prepare()
        bench = Bench(dsn)
        bench.start_state()
        contenders = {
            "native": bench.native, "native, one connection": bench.native_alone, "native, nothing new": bench.native_again,
            BASE: bench.stock_soda, "soda, our adapter": bench.soda_engine, "common-sql's SQL": bench.common_sql,
        }  # fmt: skip
        costs: dict[str, list[Cost]] = defaultdict(list)
        for _ in range(repeat):
            for name, work in contenders.items():
                if not only or name in only | {BASE}:
                    costs[name].append(measure(postmaster, work))
            if python is not None:
                for name, way in (("great expectations", "SUMMARY"), ("same, booleans only", "BOOLEAN_ONLY")):
                    costs[name].append(measure_peer(postmaster, python, dsn, way))
        passes = measure(
            postmaster, lambda: {"n": connection.execute("SELECT count(*) FROM orders").fetchone()}
        )
    print_table(costs, passes.wall)
    compare(costs)


def _observed(report: QualityReport) -> dict[str, Any]:
    if report.errors:
        raise RuntimeError(report.errors)
    return {check.id: check.observed for check in report.checks}


def main() -> None:
    """Read the arguments, start a server, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--peers", help="an interpreter that has Great Expectations")
    parser.add_argument("--only", action="append", default=[], help="a contender, beside stock Soda")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dataml-bench-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with embedded_postgres(Path(folder) / "data") as server:
            dsn = ensure_database(server, "bench")
            run(dsn, rows=given.rows, repeat=given.repeat, python=given.peers, only=set(given.only))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
