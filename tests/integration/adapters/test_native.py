"""What is native's own: the catalog, grouping, help from other connections, and one broken check at a time."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from airflow_dataml.adapters.native import NativeEngine, covers, row_conditions
from airflow_dataml.adapters.native.binding import bind
from airflow_dataml.adapters.native.catalog import read_table
from airflow_dataml.adapters.native.measure import shortcut
from airflow_dataml.adapters.native.metrics import make_plan
from airflow_dataml.adapters.native.reader import reading
from airflow_dataml.adapters.native.statements import choose_groups
from airflow_dataml.core.contract import Contract
from airflow_dataml.core.errors import QualityEngineError, SpecError
from airflow_dataml.core.quality import Verdict
from airflow_dataml.core.refs import Relation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_dataml.core.quality import QualityReport

pytestmark = pytest.mark.integration

RIDES = Relation("public", "rides")
CONTRACT = """
dataset: w/demo/public/rides
columns:
  - {name: id, checks: [missing: , duplicate: ]}
  - {name: code, checks: [missing: , invalid: {valid_format: {regex: '^c[0-4]$', name: code}, threshold: {must_be: 0}}]}
  - {name: zone, checks: [invalid: {valid_reference_data: {dataset: w/demo/public/zones, column: zone}}]}
checks: [row_count: , schema: , duplicate: {columns: [id, code]}]
"""


@pytest.fixture
def connection(postgres_dsn: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_dsn, autocommit=True) as opened:
        opened.execute("CREATE TABLE zones AS SELECT g AS zone FROM generate_series(0, 9) g")
        opened.execute(
            "CREATE TABLE rides AS SELECT g AS id, 'c' || g % 6 AS code, g % 11 AS zone FROM generate_series(0, 599) g"
        )
        yield opened


def verify(
    connection: Any,
    text: str | Contract = CONTRACT,
    *,
    engine: NativeEngine | None = None,
    **given: Any,
) -> QualityReport:
    return (engine or NativeEngine()).verify(
        **{
            "contract": text if isinstance(text, Contract) else Contract.from_text(text),
            "relation": RIDES,
            "connection": connection,
            "variables": {},
            "data_timestamp": None,
            "timeout_s": 60,
            "references": {},
        }
        | given
    )


def observed(report: QualityReport) -> dict[str, Any]:
    assert report.errors == ()
    return {check.id: check.observed for check in report.checks}


EXPECTED = {
    "checks.row_count": 600,
    "checks.schema": 0,
    "checks.duplicate": 0,
    "columns.id.checks.missing": 0,
    "columns.id.checks.duplicate": 0,
    "columns.code.checks.missing": 0,
    "columns.code.checks.invalid": 100,
    "columns.zone.checks.invalid": 54,
    "x-dataml.require_rows": 600,
}


class TestCatalog:
    def answered(self, connection: psycopg.Connection[Any]) -> set[str]:
        """Which metrics the catalog answers, or makes cheaper."""
        plan = make_plan(bind(Contract.from_text(CONTRACT), {}), {})
        with reading(connection, timeout_s=5) as readers:
            table = read_table(readers.main, RIDES)
            assert table is not None
            known = {
                f"{check}.{name}": shortcut(metric, table) is not metric
                for check, need in plan.needs.items()
                for name, metric in need.items()
            }
        return {
            name.removeprefix("columns.").replace("checks.", "") for name, better in known.items() if better
        }

    @pytest.mark.parametrize(
        ("change", "answered"),
        [
            pytest.param("SELECT 1", set(), id="nothing"),
            pytest.param("ALTER TABLE rides ALTER code SET NOT NULL", {"code.missing.missing", "code.invalid.missing"}, id="not null"),
            pytest.param("ALTER TABLE rides ADD PRIMARY KEY (id)", {"id.missing.missing", "id.duplicate.missing", "id.duplicate.distinct", "duplicate.distinct"}, id="primary key"),
            pytest.param("ALTER TABLE rides ADD UNIQUE (id)", {"id.duplicate.distinct"}, id="unique that may be null"),
            pytest.param("CREATE UNIQUE INDEX ON rides (id) WHERE zone > 0", set(), id="partial index"),
            pytest.param("CREATE UNIQUE INDEX ON rides ((id + 0))", set(), id="index on an expression"),
            pytest.param("ALTER TABLE rides ADD UNIQUE (id) DEFERRABLE", set(), id="deferrable"),
            pytest.param("CREATE INDEX ON rides (id)", set(), id="plain index"),
            pytest.param("CREATE UNIQUE INDEX ON rides (id) INCLUDE (code)", {"id.duplicate.distinct"}, id="index that includes"),
            pytest.param("ALTER TABLE rides ADD PRIMARY KEY (id); CREATE TABLE more () INHERITS (rides)", set(), id="a table others inherit from"),
            pytest.param("ALTER TABLE rides ADD CONSTRAINT there NOT NULL code NOT VALID", set(), id="not null, not validated"),
        ],
    )  # fmt: skip
    def test_valid_constraints_answer_and_others_do_not(
        self, connection: psycopg.Connection[Any], change: str, answered: set[str]
    ) -> None:
        connection.execute(change)
        assert self.answered(connection) == answered
        assert observed(verify(connection)) == EXPECTED

    def test_rows_of_a_table_that_inherits_count(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute("ALTER TABLE rides ADD PRIMARY KEY (id)")
        connection.execute("CREATE TABLE more () INHERITS (rides); INSERT INTO more VALUES (7, NULL, 1)")
        found = observed(verify(connection))
        assert (found["columns.id.checks.duplicate"], found["columns.code.checks.missing"]) == (1, 1)


class TestGrouping:
    def test_a_pattern_on_few_values_is_tested_once_per_value(
        self, connection: psycopg.Connection[Any]
    ) -> None:
        connection.execute("INSERT INTO rides SELECT 1000 + g, NULL, 1 FROM generate_series(1, 120000) g")
        plain = observed(verify(connection))
        metrics = make_plan(bind(Contract.from_text(CONTRACT), {}), {}).metrics
        chosen = []
        for prepare in ("SELECT 1", "ANALYZE rides"):
            connection.execute(prepare)
            with reading(connection, timeout_s=5) as readers:
                table = read_table(readers.main, RIDES)
            assert table is not None
            chosen.append(choose_groups(metrics, table))
        assert chosen == [(), ("code",)]
        assert observed(verify(connection)) == plain
        assert plain["columns.code.checks.missing"] == 120_000

    def test_a_broken_check_leaves_the_grouped_ones(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute(
            "INSERT INTO rides SELECT 1000 + g, 'c9', 1 FROM generate_series(1, 120000) g; ANALYZE rides"
        )
        text = CONTRACT + "  "
        broken = text.replace("row_count: ,", "row_count: , failed_rows: {expression: 1 / (id - 5) > 2},")
        report = verify(connection, broken)
        verdicts = {check.id: check.verdict for check in report.checks}
        assert [name for name, verdict in verdicts.items() if verdict is Verdict.ERROR] == [
            "checks.failed_rows"
        ]
        assert report.errors == ("failed_rows(1 / (id - 5) > 2): division by zero",)


class TestReferences:
    @pytest.mark.parametrize(
        ("rides", "zones", "key", "sorts"),
        [
            (10_000_000, 500_000, "integer", True),
            (10_000_000, 500_000, "text", False),
            (10_000_000, 5_000_000, "integer", False),
            (10_000_000, 500, "integer", False),
            (10_000_000, -1, "integer", False),
        ],
        ids=["large numbers", "texts", "almost as large", "small", "never analyzed"],
    )
    def test_numbers_are_sorted_where_looking_them_up_waits_for_memory(
        self, connection: psycopg.Connection[Any], rides: int, zones: int, key: str, sorts: bool
    ) -> None:
        for table in ("rides", "zones"):
            connection.execute(f"ALTER TABLE {table} ALTER zone TYPE {key}".encode())
        connection.execute("ANALYZE rides; ANALYZE zones")
        for table, rows in (("rides", rides), ("zones", zones)):
            connection.execute("UPDATE pg_class SET reltuples = %s WHERE relname = %s", [rows, table])
        found = observed(verify(connection))
        assert found["columns.zone.checks.invalid"] == EXPECTED["columns.zone.checks.invalid"]
        # The check's own filter tells how its statement is planned.
        asked = CONTRACT.replace("zone}}]", "zone}, filter: \"current_setting('enable_hashjoin') = 'off'\"}]")
        found = observed(verify(connection, asked))
        assert found["columns.zone.checks.invalid"] == (
            EXPECTED["columns.zone.checks.invalid"] if sorts else 0
        )
        assert connection.execute("SHOW enable_hashjoin").fetchone() == ("on",)


class TestBesides:
    """Other connections help on the caller's snapshot, or not at all."""

    def helped(self, connection: psycopg.Connection[Any], connect: Callable[[], Any]) -> QualityReport:
        return verify(connection, engine=NativeEngine(connect=connect, beside_from=0))

    def test_they_see_the_callers_snapshot(
        self, connection: psycopg.Connection[Any], postgres_dsn: str
    ) -> None:
        opened: list[psycopg.Connection[Any]] = []

        def connect() -> psycopg.Connection[Any]:
            with psycopg.connect(postgres_dsn, autocommit=True) as writer:
                writer.execute("INSERT INTO rides VALUES (1, 'c9', 99)")
            opened.append(psycopg.connect(postgres_dsn))
            return opened[-1]

        assert observed(self.helped(connection, connect)) == EXPECTED
        assert len(opened) == 2
        assert all(each.closed for each in opened)
        assert connection.execute("SELECT count(*) FROM rides").fetchone() == (602,)

    def test_without_them_all_is_done_on_one(
        self, connection: psycopg.Connection[Any], postgres_server: str
    ) -> None:
        def refuse() -> Any:
            raise psycopg.OperationalError

        def elsewhere() -> Any:
            return psycopg.connect(postgres_server)

        for connect in (refuse, elsewhere):
            assert observed(self.helped(connection, connect)) == EXPECTED

    def test_what_the_caller_has_not_committed_is_seen(
        self, connection: psycopg.Connection[Any], postgres_dsn: str
    ) -> None:
        with connection.transaction(force_rollback=True):
            connection.execute("INSERT INTO rides VALUES (1, 'c9', 99)")
            found = observed(self.helped(connection, lambda: psycopg.connect(postgres_dsn)))
        assert found["columns.id.checks.duplicate"] == 1

    def test_a_helper_that_is_lost_hands_its_work_back(
        self, connection: psycopg.Connection[Any], postgres_dsn: str
    ) -> None:
        connection.execute(
            "CREATE FUNCTION once(integer) RETURNS integer LANGUAGE plpgsql VOLATILE AS $$BEGIN"
            f" IF pg_backend_pid() <> {connection.info.backend_pid} THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;"
            " RETURN $1; END$$"
        )
        text = CONTRACT.replace("duplicate: ]", "duplicate: {column_expression: once(id)}]", 1)
        engine = NativeEngine(connect=lambda: psycopg.connect(postgres_dsn), beside_from=0)
        assert observed(verify(connection, text, engine=engine)) == EXPECTED


class TestOneBrokenCheck:
    BROKEN = """
dataset: w/demo/public/rides
columns:
  - name: id
    checks: [missing: , duplicate: , aggregate: {function: max, threshold: {must_be: 599}}]
  - name: gone
    checks: [missing: , duplicate: , invalid: {valid_min: 1}, aggregate: {function: max, threshold: {must_be: 599}}]
  - name: code
    checks:
      - aggregate: {function: avg, threshold: {must_be: 1}}
      - invalid: {qualifier: pattern, valid_format: {regex: '[', name: x}}
      - invalid: {qualifier: cast, filter: code::integer > 1, valid_length: 2}
      - invalid: {valid_length: 2}
checks:
  - row_count:
  - duplicate: {columns: [id, gone]}
  - failed_rows: {expression: 1 / (id - 5) > 2}
  - metric: {qualifier: bad, query: SELECT nonsense, threshold: {must_be: 1}}
  - metric: {qualifier: good, query: SELECT 1, threshold: {must_be: 1}}
  - freshness: {column: zone, threshold: {must_be_less_than: 1}}
"""

    def test_voids_no_other(self, connection: psycopg.Connection[Any]) -> None:
        report = verify(connection, self.BROKEN)
        found = {check.id: check for check in report.checks}
        assert {name for name, check in found.items() if check.verdict is Verdict.ERROR} == {
            "columns.gone.checks.missing", "columns.gone.checks.duplicate", "columns.gone.checks.invalid",
            "columns.gone.checks.aggregate", "columns.code.checks.aggregate", "columns.code.checks.invalid.pattern",
            "columns.code.checks.invalid.cast", "checks.duplicate", "checks.failed_rows", "checks.metric.bad", "checks.freshness",
        }  # fmt: skip
        assert {check.verdict for check in found.values()} == {Verdict.ERROR, Verdict.PASS}
        assert (
            found["columns.code.checks.invalid.cast"].detail == 'invalid input syntax for type integer: "c0"'
        )
        assert report.verdict is Verdict.ERROR

    def test_a_broken_filter_voids_all(self, connection: psycopg.Connection[Any]) -> None:
        report = verify(connection, CONTRACT + "filter: nonsense > 1\n")
        assert [check.id for check in report.checks if check.verdict is not Verdict.ERROR] == [
            "checks.schema"
        ]
        assert len(report.errors) == 1


def test_infinite_and_ancient_times_are_errors(connection: psycopg.Connection[Any]) -> None:
    text = "dataset: w/rides\ncolumns: []\nchecks: [row_count: , freshness: {column: at, threshold: {must_be_less_than: 1}}]"
    connection.execute("ALTER TABLE rides ADD COLUMN at timestamptz DEFAULT 'infinity'")
    report = verify(connection, text)
    assert [check.verdict for check in report.checks] == [Verdict.PASS, Verdict.ERROR, Verdict.PASS]
    assert report.checks[1].detail == "its newest value 'infinity' is no time"


def test_every_check_of_the_language_is_covered() -> None:
    assert covers(Contract.from_text(CONTRACT)) == ()
    assert covers(Contract.from_text(TestOneBrokenCheck.BROKEN)) == ()


class TestTheDatabase:
    def test_out_of_time_is_an_error_of_every_check(self, connection: psycopg.Connection[Any]) -> None:
        text = CONTRACT.replace(
            "row_count: ,", "row_count: , failed_rows: {expression: pg_sleep(1)::text = 'x'},"
        )
        report = verify(connection, text, timeout_s=0.3)
        assert report.verdict is Verdict.ERROR
        assert any("statement timeout" in error for error in report.errors)
        assert connection.execute("SELECT 1").fetchone() == (1,)

    def test_no_time_at_all(self, connection: psycopg.Connection[Any]) -> None:
        assert verify(connection, timeout_s=0).errors == ("canceling statement due to statement timeout",)

    def test_unreachable(self, connection: psycopg.Connection[Any]) -> None:
        connection.close()
        with pytest.raises(QualityEngineError, match="closed"):
            verify(connection)

    def test_asking_for_the_transaction_again_is_a_reason_to_try_again(
        self, connection: psycopg.Connection[Any]
    ) -> None:
        connection.execute(
            "CREATE FUNCTION late() RETURNS integer LANGUAGE plpgsql AS"
            " $$BEGIN RAISE 'published since' USING ERRCODE = 'serialization_failure'; END$$"
        )
        with pytest.raises(QualityEngineError, match="published since"):
            verify(connection, CONTRACT + "filter: late() = 1\n")
        assert connection.execute("SELECT 1").fetchone() == (1,)

    def test_another_driver_is_refused(self) -> None:
        with pytest.raises(SpecError, match=r"needs a psycopg 3 connection, not builtins\.object"):
            verify(object())

    def test_a_stopped_task_stops_every_query_on_the_server(
        self, connection: psycopg.Connection[Any], postgres_dsn: str
    ) -> None:
        class Stopped(BaseException):
            pass

        def stop(*_: object) -> None:
            raise Stopped

        text = """
dataset: w/rides
columns:
  - {name: id, column_expression: "(SELECT id FROM pg_sleep(60))", checks: [missing: , duplicate: ]}
"""
        running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()"
        engine = NativeEngine(connect=lambda: psycopg.connect(postgres_dsn), beside_from=0)
        previous = signal.signal(signal.SIGUSR1, stop)
        with psycopg.connect(postgres_dsn, autocommit=True) as watcher:

            def signal_when_running() -> None:
                while watcher.execute(running).fetchone() != (2,):
                    pass
                os.kill(os.getpid(), signal.SIGUSR1)

            thread = threading.Thread(target=signal_when_running)
            thread.start()
            try:
                with pytest.raises(Stopped):
                    verify(connection, text, engine=engine)
            finally:
                signal.signal(signal.SIGUSR1, previous)
                thread.join()
            assert watcher.execute(running).fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM rides").fetchone() == (600,)


class TestRowConditions:
    def bad(self, connection: psycopg.Connection[Any], contract: Contract, **given: Any) -> dict[str, int]:
        return {
            name: connection.execute(f"SELECT count(*) FROM rides WHERE {condition}".encode()).fetchone()[0]  # type: ignore[index]
            for name, condition in row_conditions(contract, **given)
        }

    def test_hold_for_as_many_rows_as_their_checks_count(self, connection: psycopg.Connection[Any]) -> None:
        """Also where the reference's column is called as the column, or holds NULL."""
        connection.execute("""
            INSERT INTO zones VALUES (NULL); ALTER TABLE zones ADD COLUMN code text DEFAULT 'c1';
            ALTER TABLE rides ADD COLUMN "a "" b" integer; UPDATE rides SET "a "" b" = id WHERE id % 3 = 0;
            UPDATE rides SET code = NULL WHERE id % 13 = 0; UPDATE rides SET zone = NULL WHERE id % 17 = 0
        """)
        contract = Contract.from_text("""
dataset: w/demo/public/rides
filter: id > 5 OR id = 2
variables: {least: {default: 7}}
columns:
  - {name: id, checks: [duplicate: , aggregate: {function: max, threshold: {must_be: 1}}]}
  - {name: code, missing_values: [c4], checks: [missing: {filter: zone > 1 OR zone IS NULL}, invalid: {valid_values: [c1, c2]}]}
  - name: zone
    checks:
      - invalid: {valid_reference_data: {dataset: w/demo/public/zones, column: zone}, invalid_values: [3]}
      - invalid: {qualifier: expression, column_expression: zone + 1, valid_reference_data: {dataset: w/demo/public/zones, column: zone}}
  - {name: 'a " b', checks: [missing: , invalid: {valid_max: 300, missing_values: [9]}]}
checks:
  - row_count:
  - failed_rows: {expression: "zone > ${var.least} OR code IS NULL -- either", filter: id > 100}
  - failed_rows: {qualifier: query, query: SELECT 1}
""")  # fmt: skip
        report = verify(connection, contract)
        asked = {
            check.id: check.observed
            for check in report.checks
            if check.type in ("missing", "invalid", "failed_rows")
        }
        del asked["checks.failed_rows.query"]
        assert report.errors == ()
        assert self.bad(connection, contract) == asked
        assert min(asked.values()) > 0

    def test_read_the_table_named_for_a_reference(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute('CREATE TABLE "other zones" AS SELECT 1 AS zone')
        contract = Contract.from_text(CONTRACT)
        found = self.bad(connection, contract, references={"zones": Relation("public", "other zones")})
        assert found["columns.zone.checks.invalid"] == 545

    def test_are_one_condition_each_whatever_the_name(self, connection: psycopg.Connection[Any]) -> None:
        name = 'x" IS NULL; DROP TABLE rides; --'
        connection.execute(sql.SQL("ALTER TABLE rides ADD COLUMN {} integer").format(sql.Identifier(name)))
        contract = Contract.from_text(f"dataset: w/rides\ncolumns: [{{name: '{name}', checks: [missing: ]}}]")
        assert list(self.bad(connection, contract).values()) == [600]
