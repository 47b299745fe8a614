"""What every quality engine does, whatever is behind it."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row

from airflow_dataml.adapters.native import NativeEngine
from airflow_dataml.adapters.soda import SodaEngine
from airflow_dataml.core.contract import Contract
from airflow_dataml.core.errors import ContractError, QualityEngineError
from airflow_dataml.core.quality import QualityReport, Verdict
from airflow_dataml.core.refs import Relation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_dataml.core.quality import CheckResult, QualityEngine

pytestmark = pytest.mark.integration

RIDES = Relation("public", "rides")
# Ten rows: km 0..9, one zone missing, one zone unknown, the tenth row repeats the ninth's id.
SETUP = """
CREATE TABLE zones (code text);
INSERT INTO zones VALUES ('A'), ('B');
CREATE TABLE rides (id integer, km integer, zone text, at timestamptz);
INSERT INTO rides
SELECT least(g, 8), g, CASE WHEN g = 0 THEN NULL WHEN g = 1 THEN 'Z' ELSE 'A' END,
       timestamptz '2013-01-31 12:00+00' - g * interval '1 hour'
FROM generate_series(0, 9) g
"""
COLUMNS = ("id", "km", "zone", "at")
NOON = datetime(2013, 1, 31, 12, tzinfo=UTC)


@pytest.fixture(params=[pytest.param(SodaEngine, id="soda"), pytest.param(NativeEngine, id="native")])
def engine(request: pytest.FixtureRequest) -> QualityEngine:
    """Each engine in turn; a new one is one line here."""
    made: QualityEngine = request.param()
    return made


@pytest.fixture
def connection(postgres_dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection in autocommit, with the table rides."""
    with psycopg.connect(postgres_dsn, autocommit=True) as opened:
        opened.execute(SETUP)
        yield opened


def contract(*, checks: str = "", column: str = "km", inside: str = "", rest: str = "") -> Contract:
    """A contract on rides.

    :param checks: dataset checks, one line each.
    :param inside: keys of ``column``, as flow YAML.
    """
    columns = "".join(
        f"  - {{name: {name}{f', {inside}' if inside and name == column else ''}}}\n" for name in COLUMNS
    )
    body = f"dataset: w/demo/public/rides\ncolumns:\n{columns}"
    return Contract.from_text(body + (f"checks:\n{checks}\n" if checks else "") + rest)


def verify(
    engine: QualityEngine, connection: psycopg.Connection[Any], wanted: Contract, **given: Any
) -> QualityReport:
    return engine.verify(
        **{
            "contract": wanted,
            "relation": RIDES,
            "connection": connection,
            "variables": {},
            "data_timestamp": NOON,
            "timeout_s": 30,
            "references": {},
        }
        | given
    )


def only(report: QualityReport) -> CheckResult:
    """The one check of a contract with one check."""
    return next(check for check in report.checks if check.type != "require_rows")


def dataset(check: str) -> Contract:
    return contract(checks=f"  - {check}")


def on(column: str, check: str, *more: str) -> Contract:
    return contract(column=column, inside=", ".join([*more, f"checks: [{{{check}}}]"]))


@pytest.mark.parametrize(
    ("wanted", "verdict", "observed"),
    [
        pytest.param(dataset("schema:"), "pass", 0, id="schema"),
        pytest.param(dataset("row_count:"), "pass", 10, id="row_count by default"),
        pytest.param(dataset("row_count: {threshold: {must_be: 9}}"), "fail", 10, id="row_count"),
        pytest.param(dataset("row_count: {filter: km > 4, threshold: {must_be: 5}}"), "pass", 5, id="row_count filtered"),
        pytest.param(dataset("duplicate: {columns: [id, zone]}"), "fail", 1, id="duplicate rows"),
        pytest.param(dataset("duplicate: {columns: [id, km]}"), "pass", 0, id="no duplicate rows"),
        pytest.param(dataset("freshness: {column: at, threshold: {must_be_less_than: 1}}"), "pass", 0.0, id="fresh"),
        pytest.param(dataset("freshness: {column: at, filter: km > 2, threshold: {unit: minute, must_be_less_than: 180}}"), "fail", 180.0, id="stale"),
        pytest.param(dataset("failed_rows: {expression: km > 7}"), "fail", 2, id="failed_rows expression"),
        pytest.param(dataset("failed_rows: {expression: km > 7, threshold: {metric: percent, must_be_less_than: 21}}"), "pass", 20.0, id="failed_rows percent"),
        pytest.param(dataset("failed_rows: {query: 'SELECT 1 FROM rides WHERE km > 9'}"), "pass", 0, id="failed_rows query"),
        pytest.param(dataset("failed_rows: {query: 'SELECT 1 FROM rides WHERE km > 8', rows_tested_query: 'SELECT count(*) FROM rides', threshold: {metric: percent, must_be: 10}}"), "pass", 10.0, id="failed_rows query percent"),
        pytest.param(dataset("failed_rows: {keys_query: 'SELECT id FROM rides WHERE km > 8'}"), "fail", 1, id="failed_rows keys_query"),
        pytest.param(dataset("metric: {expression: max(km) - min(km), threshold: {must_be: 9}}"), "pass", 9.0, id="metric expression"),
        pytest.param(dataset("metric: {query: SELECT sum(km) FROM rides, threshold: {must_be: 44}}"), "fail", 45, id="metric query"),
        pytest.param(on("zone", "missing: "), "fail", 1, id="missing"),
        pytest.param(on("zone", "missing: {threshold: {metric: percent, must_be_less_than: 11}}"), "pass", 10.0, id="missing percent"),
        pytest.param(on("zone", "missing: {missing_values: [Z], threshold: {must_be: 2}}"), "pass", 2, id="missing values"),
        pytest.param(on("zone", "missing: {missing_format: {regex: '^[XYZ]$', name: end}, threshold: {must_be: 2}}"), "pass", 2, id="missing format"),
        pytest.param(on("zone", "missing: ", "missing_values: [Z]"), "fail", 2, id="missing values of the column"),
        pytest.param(on("zone", "invalid: {valid_values: [A]}"), "fail", 1, id="invalid values"),
        pytest.param(on("zone", "invalid: ", "valid_values: [A, Z]"), "pass", 0, id="valid values of the column"),
        pytest.param(on("zone", "invalid: {invalid_values: [A]}"), "fail", 8, id="invalid list"),
        pytest.param(on("zone", "invalid: {valid_format: {regex: '^[A-Y]$', name: zone}}"), "fail", 1, id="invalid format"),
        pytest.param(on("zone", "invalid: {invalid_format: {regex: '\\d', name: digit}}"), "pass", 0, id="invalid format with backslash"),
        pytest.param(on("zone", "invalid: {valid_length: 1}"), "pass", 0, id="valid length"),
        pytest.param(on("zone", "invalid: {valid_min_length: 2}"), "fail", 9, id="valid min length"),
        pytest.param(on("km", "invalid: {valid_min: 2, valid_max: 8}"), "fail", 3, id="valid range"),
        pytest.param(on("km", "invalid: {valid_max: 8, filter: id < 8}"), "pass", 0, id="valid range filtered"),
        pytest.param(on("km", "invalid: {column_expression: km * 2, valid_max: 17}"), "fail", 1, id="column expression"),
        pytest.param(on("zone", "invalid: {valid_reference_data: {dataset: w/demo/public/zones, column: code}}"), "fail", 1, id="reference"),
        pytest.param(on("zone", "invalid: {valid_reference_data: {dataset: w/demo/public/zones, column: code}, filter: km > 1}"), "pass", 0, id="reference filtered"),
        pytest.param(on("id", "duplicate: "), "fail", 1, id="duplicate"),
        pytest.param(on("km", "duplicate: "), "pass", 0, id="unique"),
        pytest.param(on("zone", "duplicate: {threshold: {metric: percent, must_be_less_than: 80}}"), "pass", 700 / 9, id="duplicate percent"),
        pytest.param(on("km", "aggregate: {function: avg, threshold: {must_be: 4.5}}"), "pass", 4.5, id="avg"),
        pytest.param(on("km", "aggregate: {function: sum, threshold: {must_not_be: 45}}"), "fail", 45.0, id="sum"),
        pytest.param(on("km", "aggregate: {function: min, threshold: {must_be_less_than_or_equal: 0}}"), "pass", 0.0, id="min"),
        pytest.param(on("km", "aggregate: {function: max, threshold: {must_be_greater_than_or_equal: 10}}"), "fail", 9.0, id="max"),
        pytest.param(on("zone", "aggregate: {function: max_length, threshold: {must_be: 1}}"), "pass", 1.0, id="max_length"),
        pytest.param(on("km", "aggregate: {function: min, threshold: {must_be: 2}}", "valid_min: 2"), "pass", 2.0, id="aggregate of valid values"),
        pytest.param(on("km", "aggregate: {function: max, invalid_values: [9], threshold: {must_be: 8}}"), "pass", 8.0, id="aggregate without invalid values"),
        pytest.param(on("km", "aggregate: {function: sum, filter: km > 7, threshold: {must_be: 17}}"), "pass", 17.0, id="aggregate filtered"),
        pytest.param(dataset("row_count: {threshold: {must_be_between: {greater_than: 10, less_than: 12}}}"), "fail", 10, id="between"),
        pytest.param(dataset("row_count: {threshold: {must_be_between: {greater_than_or_equal: 10, less_than: 12}}}"), "pass", 10, id="between with bound"),
        pytest.param(dataset("row_count: {threshold: {must_be_not_between: {greater_than: 11, less_than: 9}}}"), "fail", 10, id="not between"),
        pytest.param(dataset("row_count: {threshold: {must_be: 9, level: warn}}"), "warn", 10, id="warn"),
        pytest.param(dataset("row_count: {threshold: {must_be: 10, additional: {must_be_greater_than: 10, level: warn}}}"), "warn", 10, id="second threshold warns"),
        pytest.param(dataset("row_count: {threshold: {must_be: 10, level: warn, additional: {must_be_greater_than: 10}}}"), "fail", 10, id="second threshold fails"),
    ],
)  # fmt: skip
def test_each_check_type(
    engine: QualityEngine,
    connection: psycopg.Connection[Any],
    wanted: Contract,
    verdict: str,
    observed: float,
) -> None:
    report = verify(engine, connection, wanted)
    assert report.errors == ()
    found = only(report)
    assert (found.id, found.verdict, found.observed) == (
        wanted.checks[0].id,
        verdict,
        pytest.approx(observed),
    )
    assert (report.verdict, report.rows) == (verdict, 10)


class TestSchema:
    def types(self, **types: str) -> Contract:
        columns = "".join(f"  - {{name: {name}, data_type: {kind}}}\n" for name, kind in types.items())
        return Contract.from_text(f"dataset: w/rides\ncolumns:\n{columns}checks:\n  - schema:\n")

    @pytest.mark.parametrize("kind", ["timestamptz", "timestamp with time zone", "TIMESTAMPTZ"])
    def test_types_may_be_spelled_as_people_do(
        self, engine: QualityEngine, connection: psycopg.Connection[Any], kind: str
    ) -> None:
        report = verify(engine, connection, self.types(id="int4", km="INTEGER", zone="text", at=kind))
        assert report.verdict is Verdict.PASS

    def test_sizes_are_compared(self, engine: QualityEngine, connection: psycopg.Connection[Any]) -> None:
        connection.execute("DROP TABLE rides; CREATE TABLE rides (a varchar(5), b numeric(10, 2), c text[])")
        connection.execute("INSERT INTO rides VALUES ('a', 1, '{}')")
        same = self.types(a="varchar(5)", b="'numeric(10,2)'", c="'text[]'")
        assert verify(engine, connection, same).verdict is Verdict.PASS
        report = verify(engine, connection, self.types(a="varchar(6)", b="'numeric(10,3)'", c="'text[]'"))
        assert report.verdict is Verdict.FAIL
        assert only(report).observed == 2

    def test_every_difference_is_named(
        self, engine: QualityEngine, connection: psycopg.Connection[Any]
    ) -> None:
        found = only(
            verify(engine, connection, self.types(km="text", id="integer", fare="integer", at="timestamptz"))
        )
        assert found.verdict is Verdict.FAIL
        for part in (
            "column 'fare' is missing",
            "column 'zone' is not in the contract",
            "column 'km' is integer, not text",
            "the columns are in another order",
        ):
            assert part in found.sentence

    def test_extra_columns_and_another_order_can_be_allowed(
        self, engine: QualityEngine, connection: psycopg.Connection[Any]
    ) -> None:
        wanted = Contract.from_text(
            "dataset: w/rides\ncolumns: [{name: km}, {name: id}]\n"
            "checks: [schema: {allow_extra_columns: true, allow_other_column_order: true}]"
        )
        assert verify(engine, connection, wanted).verdict is Verdict.PASS


class TestWhatIsRead:
    def test_the_contracts_filter_bounds_the_rows(
        self, engine: QualityEngine, connection: psycopg.Connection[Any]
    ) -> None:
        report = verify(
            engine,
            connection,
            contract(checks="  - row_count: {threshold: {must_be: 3}}", rest="filter: km > 6\n"),
        )
        assert (report.verdict, report.rows) == (Verdict.PASS, 3)

    def test_variables_reach_thresholds_and_sql(
        self, engine: QualityEngine, connection: psycopg.Connection[Any]
    ) -> None:
        wanted = contract(
            checks="  - row_count: {filter: 'km > ${var.least}', threshold: {must_be: '${var.rows}'}}",
            rest="variables: {least: {default: 5}, rows: {default: 0}}\n",
        )
        assert verify(engine, connection, wanted, variables={"rows": "4"}).verdict is Verdict.PASS
        assert verify(engine, connection, wanted, variables={"rows": 4, "least": 7}).verdict is Verdict.FAIL
        with pytest.raises(ContractError, match="Did you mean 'least'"):
            verify(engine, connection, wanted, variables={"leest": 1})

    def test_freshness_is_measured_against_the_data_timestamp(
        self, engine: QualityEngine, connection: psycopg.Connection[Any]
    ) -> None:
        wanted = dataset("freshness: {column: at, threshold: {unit: day, must_be_less_than: 2}}")
        late = verify(engine, connection, wanted, data_timestamp=NOON + timedelta(days=2))
        assert (late.verdict, only(late).observed) == (Verdict.FAIL, 2.0)
        assert verify(engine, connection, wanted, data_timestamp=None).verdict is Verdict.FAIL

    def test_freshness_of_rows_without_a_time_fails(
        self, engine: QualityEngine, connection: psycopg.Connection[Any]
    ) -> None:
        connection.execute("UPDATE rides SET at = NULL")
        found = only(
            verify(engine, connection, dataset("freshness: {column: at, threshold: {must_be_less_than: 2}}"))
        )
        assert (found.verdict, found.sentence) == (Verdict.FAIL, "freshness(at): no row has a time")

    def test_a_reference_can_be_another_table(
        self, engine: QualityEngine, connection: psycopg.Connection[Any]
    ) -> None:
        connection.execute("CREATE SCHEMA data; CREATE TABLE data.zones_2 AS SELECT 'Z' AS code")
        wanted = on("zone", "invalid: {valid_reference_data: {dataset: w/demo/public/zones, column: code}}")
        report = verify(engine, connection, wanted, references={"zones": Relation("data", "zones_2")})
        assert only(report).observed == 8

    @pytest.mark.parametrize("kind", ["TABLE", "VIEW"])
    def test_a_temporary_relation_is_found(
        self, engine: QualityEngine, connection: psycopg.Connection[Any], kind: str
    ) -> None:
        connection.execute(f"CREATE TEMP {kind} batch AS SELECT * FROM rides WHERE km > 6")
        wanted = contract(checks="  - schema:\n  - row_count: {threshold: {must_be: 3}}")
        report = verify(engine, connection, wanted, relation=Relation("pg_temp", "batch"))
        assert (report.verdict, str(report.relation)) == (Verdict.PASS, "pg_temp.batch")

    def test_names_keep_their_case(self, engine: QualityEngine, connection: psycopg.Connection[Any]) -> None:
        connection.execute('CREATE SCHEMA "Data"; CREATE TABLE "Data"."Rides" AS SELECT 1 AS "Km"')
        wanted = Contract.from_text(
            "dataset: w/rides\ncolumns: [{name: Km, data_type: integer, valid_min: 1, checks: ["
            "missing: , aggregate: {function: min, threshold: {must_be: 1}}]}]\nchecks: [schema: ]"
        )
        report = verify(engine, connection, wanted, relation=Relation("Data", "Rides"))
        assert report.verdict is Verdict.PASS

    def test_quotes_and_percent_signs_stay_what_they_are(
        self, engine: QualityEngine, connection: psycopg.Connection[Any]
    ) -> None:
        connection.execute("UPDATE rides SET zone = 'O''Hare 5 %s' WHERE km = 3")
        wanted = on("zone", """invalid: {valid_values: ["O'Hare 5 %s", A, Z]}""")
        assert verify(engine, connection, wanted).verdict is Verdict.PASS


class TestWhatCannotBeEvaluated:
    def test_an_empty_table_fails(self, engine: QualityEngine, connection: psycopg.Connection[Any]) -> None:
        connection.execute("DELETE FROM rides")
        report = verify(engine, connection, on("km", "aggregate: {function: avg, threshold: {must_be: 1}}"))
        assert report.verdict is Verdict.FAIL
        assert "rows: the table is empty" in report.summary()
        assert only(report).verdict is Verdict.UNKNOWN

    def test_an_empty_table_passes_where_the_contract_allows_it(
        self, engine: QualityEngine, connection: psycopg.Connection[Any]
    ) -> None:
        connection.execute("DELETE FROM rides")
        checks = "  - schema:\n  - freshness: {column: at, threshold: {must_be_less_than: 1}}"
        wanted = contract(
            checks=checks,
            inside="checks: [missing: , aggregate: {function: avg, threshold: {must_be: 1}}]",
            rest="x-dataml: {require_rows: false}\n",
        )
        assert verify(engine, connection, wanted).verdict is Verdict.PASS

    def test_a_missing_table_is_an_error_with_its_name(
        self, engine: QualityEngine, connection: psycopg.Connection[Any]
    ) -> None:
        report = verify(engine, connection, dataset("schema:"), relation=Relation("public", "ridse"))
        assert report.verdict is Verdict.ERROR
        assert "public.ridse" in report.summary()

    def test_a_missing_column_is_an_error_with_the_reason(
        self, engine: QualityEngine, connection: psycopg.Connection[Any]
    ) -> None:
        connection.execute("ALTER TABLE rides DROP COLUMN km")
        wanted = contract(checks="  - schema:\n  - row_count:", inside="checks: [missing: ]")
        report = verify(engine, connection, wanted)
        assert report.verdict is Verdict.ERROR
        by_id = {check.id: check.verdict for check in report.checks}
        assert by_id["checks.schema"] is Verdict.FAIL
        assert by_id["columns.km.checks.missing"] is Verdict.ERROR
        assert "column 'km' is missing" in report.summary()
        assert 'column "km" does not exist' in report.summary()

    @pytest.mark.parametrize(
        ("wanted", "reason"),
        [
            pytest.param(on("zone", "invalid: {valid_format: {regex: '[', name: a}}"), "invalid regular expression", id="regex"),
            pytest.param(on("zone", "aggregate: {function: avg, threshold: {must_be: 1}}"), "avg", id="avg of text"),
            pytest.param(dataset("failed_rows: {query: SELECT nonsense}"), "nonsense", id="failed_rows query"),
            pytest.param(dataset("metric: {query: SELECT nonsense, threshold: {must_be: 1}}"), "nonsense", id="metric query"),
            pytest.param(on("zone", "invalid: {valid_reference_data: {dataset: w/demo/public/nowhere, column: code}}"), "nowhere", id="reference"),
        ],
    )  # fmt: skip
    def test_sql_the_database_refuses_is_an_error_and_leaves_the_transaction_whole(
        self, engine: QualityEngine, connection: psycopg.Connection[Any], wanted: Contract, reason: str
    ) -> None:
        with connection.transaction():
            connection.execute("INSERT INTO zones VALUES ('mine')")
            report = verify(engine, connection, wanted)
        assert report.verdict is Verdict.ERROR
        assert any(reason in error for error in report.errors)
        assert connection.execute("SELECT count(*) FROM zones WHERE code = 'mine'").fetchone() == (1,)

    def test_time_running_out_is_an_error(
        self, engine: QualityEngine, connection: psycopg.Connection[Any]
    ) -> None:
        wanted = dataset("metric: {query: 'SELECT count(*) FROM pg_sleep(20)', threshold: {must_be: 1}}")
        began = time.monotonic()
        report = verify(engine, connection, wanted, timeout_s=0.3)
        assert report.verdict is Verdict.ERROR
        assert any("timeout" in error for error in report.errors)
        assert time.monotonic() - began < 10


class TestTheCallersConnection:
    def test_is_left_as_it_was_in_autocommit(
        self, engine: QualityEngine, connection: psycopg.Connection[Any]
    ) -> None:
        verify(engine, connection, dataset("schema:"))
        assert connection.info.transaction_status is TransactionStatus.IDLE
        assert connection.autocommit

    def test_keeps_its_transaction_its_settings_and_its_rows(
        self, engine: QualityEngine, connection: psycopg.Connection[Any], postgres_dsn: str
    ) -> None:
        connection.execute("SET statement_timeout = 54321")
        with connection.transaction(force_rollback=True):
            connection.execute("CREATE TABLE staged AS SELECT * FROM rides LIMIT 4")
            wanted = dataset("row_count: {threshold: {must_be: 4}}")
            assert (
                verify(engine, connection, wanted, relation=Relation("public", "staged")).verdict
                is Verdict.PASS
            )
            assert connection.info.transaction_status is TransactionStatus.INTRANS
            assert connection.execute("SHOW statement_timeout").fetchone() == ("54321ms",)
            connection.execute("INSERT INTO staged SELECT * FROM rides")
            with psycopg.connect(postgres_dsn) as other:
                assert other.execute("SELECT to_regclass('staged')").fetchone() == (None,)

    def test_may_have_rows_as_dicts_and_no_autocommit(
        self, engine: QualityEngine, connection: psycopg.Connection[Any], postgres_dsn: str
    ) -> None:
        with psycopg.connect(postgres_dsn, row_factory=dict_row) as other:
            report = verify(engine, other, contract(checks="  - schema:\n  - row_count:"))
            assert report.verdict is Verdict.PASS
            assert other.info.transaction_status is TransactionStatus.IDLE

    @pytest.mark.parametrize(
        "query",
        [
            pytest.param("WITH gone AS (DELETE FROM rides RETURNING 1) SELECT * FROM gone", id="delete"),
            pytest.param("COMMIT", id="commit"),
            pytest.param("/* harmless */ -- really\n ROLLBACK", id="rollback behind comments"),
            pytest.param("SELECT 1; COMMIT", id="two statements"),
        ],
    )
    def test_a_contract_can_only_read(
        self, engine: QualityEngine, connection: psycopg.Connection[Any], query: str
    ) -> None:
        with connection.transaction(force_rollback=True):
            connection.execute("INSERT INTO zones VALUES ('mine')")
            report = verify(engine, connection, dataset(f"failed_rows: {{query: {json.dumps(query)}}}"))
            assert report.verdict is Verdict.ERROR
            assert connection.execute("SELECT count(*) FROM rides").fetchone() == (10,)
        assert connection.execute("SELECT count(*) FROM zones").fetchone() == (2,)

    def test_lost_on_the_way_is_a_backend_error(
        self, engine: QualityEngine, connection: psycopg.Connection[Any]
    ) -> None:
        wanted = dataset(
            "metric: {query: 'SELECT pg_terminate_backend(pg_backend_pid())::int', threshold: {must_be: 1}}"
        )
        with pytest.raises(QualityEngineError):
            verify(engine, connection, wanted)

    def test_closed_or_in_an_aborted_transaction_is_a_backend_error(
        self, engine: QualityEngine, connection: psycopg.Connection[Any]
    ) -> None:
        with connection.transaction(force_rollback=True):
            with pytest.raises(psycopg.Error):
                connection.execute("SELECT nonsense")
            with pytest.raises(QualityEngineError, match="aborted"):
                verify(engine, connection, dataset("schema:"))
        connection.close()
        with pytest.raises(QualityEngineError, match="closed"):
            verify(engine, connection, dataset("schema:"))


def test_the_report_says_who_when_and_about_what(
    engine: QualityEngine, connection: psycopg.Connection[Any]
) -> None:
    wanted = contract(checks="  - schema:\n  - row_count:", inside="checks: [missing: ]")
    report = verify(engine, connection, wanted)
    assert (report.engine, report.engine_version) == (engine.name, engine.version())
    assert report.contract_digest == wanted.digest
    assert report.relation == RIDES
    assert report.started <= report.finished
    assert [check.id for check in report.checks] == [*(c.id for c in wanted.checks), "x-dataml.require_rows"]
    assert QualityReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report
