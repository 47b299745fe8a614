"""Native gives what the real Soda gives: every check type, every way to write a threshold, value by value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from airflow_dataml.adapters.native import NativeEngine
from airflow_dataml.adapters.soda import SodaEngine
from airflow_dataml.core.contract import Contract
from airflow_dataml.core.contract_yaml import write_yaml
from airflow_dataml.core.quality import Verdict
from airflow_dataml.core.refs import Relation
from tests.ports import forms
from tests.ports.agreement import differences, verify
from tests.ports.forms import ZONES, aggregate, contract, form

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_dataml.core.quality import QualityReport
    from tests.ports.forms import Forms

pytestmark = [pytest.mark.integration, pytest.mark.slow]

RIDES = Relation("public", "rides")


@pytest.fixture
def connection(postgres_dsn: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_dsn, autocommit=True) as opened:
        opened.execute(forms.SETUP)
        yield opened


def both(
    connection: psycopg.Connection[Any], wanted: Contract, **given: Any
) -> tuple[QualityReport, QualityReport]:
    """What Soda and native say."""
    soda, native = SodaEngine(), NativeEngine()
    return verify(soda, connection, wanted, RIDES, **given), verify(
        native, connection, wanted, RIDES, **given
    )


def agree(connection: psycopg.Connection[Any], wanted: Contract, **given: Any) -> None:
    assert differences(*both(connection, wanted, **given)) == []


def test_every_way_to_write_a_threshold(connection: psycopg.Connection[Any]) -> None:
    agree(
        connection,
        contract({"code": [form("missing", threshold=threshold) for threshold in forms.THRESHOLDS]}),
    )


@pytest.mark.parametrize("rows", ["all", "filtered", "none"])
@pytest.mark.parametrize("written", forms.ALL.values(), ids=forms.ALL.keys())
def test_every_check_type(connection: psycopg.Connection[Any], written: Forms, rows: str) -> None:
    if rows == "none":
        connection.execute("TRUNCATE rides")
    root = {"filter": "id > 5 OR id < 2"} if rows == "filtered" else {}
    agree(connection, contract(written, **root))


def test_an_empty_table_that_may_be_empty(connection: psycopg.Connection[Any]) -> None:
    connection.execute("TRUNCATE rides")
    checks = {
        "": [
            form("row_count"),
            form("schema"),
            form("freshness", column="at", threshold={"must_be_less_than": 1}),
        ],
        "km": [aggregate("avg"), form("missing"), form("duplicate")],
    }
    agree(connection, contract(checks, **{"x-dataml": {"require_rows": False}}))


def test_rules_of_the_column_are_taken_over(connection: psycopg.Connection[Any]) -> None:
    keys = {
        "code": {"missing_values": ["n/a"], "valid_values": ["c1", "c2"]},
        "km": {"valid_min": 2, "valid_max": 7, "column_expression": "km + 1"},
        "zone": {"valid_reference_data": ZONES},
    }
    checks = {
        "code": [
            form("missing"), form("invalid"), form("duplicate"), form("invalid", valid_length=2),
            form("missing", missing_values=["c1"]), aggregate("max_length"),
        ],
        "km": [form("invalid"), aggregate("avg"), form("invalid", valid_max=3), form("invalid", column_expression="km", valid_max=3)],
        "zone": [form("invalid"), form("missing"), aggregate("min_length")],
    }  # fmt: skip
    agree(connection, contract(checks, keys=keys))


def test_variables(connection: psycopg.Connection[Any]) -> None:
    checks = {
        "": [
            form("row_count", filter="km > ${var.least}", threshold={"must_be": "${var.rows}"}),
            form("failed_rows", expression="at > '${soda.DATA_TIMESTAMP}'"),
            form("failed_rows", expression="at > '${soda.NOW}'::timestamptz"),
            form(
                "metric",
                query="SELECT ${var.rows} + 1",
                threshold={"must_be_between": {"greater_than": "${var.least}", "less_than": 99}},
            ),
            form("freshness", column="at", now_variable="when", threshold={"must_be_less_than": 1}),
        ],
        "code": [
            form("invalid", valid_values=["${var.word}", "c2"]),
            form("missing", missing_values=["${var.pair}"]),
        ],
    }
    variables = {
        "least": {"default": 3},
        "rows": {"default": 2},
        "word": {"default": "c1"},
        "pair": {"default": "${var.word}"},
        "when": {"default": "2013-01-31T20:00:00Z"},
    }
    wanted = contract(checks, filter="id > ${var.least}", variables=variables)
    agree(connection, wanted)
    agree(connection, wanted, variables={"rows": "24", "least": 5, "word": "c3"})


def test_types_of_the_schema(connection: psycopg.Connection[Any]) -> None:
    kinds = {
        "id": "int8", "code": "varchar(5)", "km": "int", "fare": "numeric(8,2)", "tip": "decimal(3,1)", "share": "float8",
        "part": "real", "paid": "bool", "zone": "varchar(11)", "tag": "char(4)", "day": "date", "at": "timestamp",
        "plain": "timestamp(3)", "note": "jsonb", "order": "text",
    }  # fmt: skip
    keys = {name: {"data_type": kind} for name, kind in kinds.items()}
    agree(connection, contract({"": [form("schema")]}, keys=keys))
    connection.execute("ALTER TABLE rides DROP COLUMN km; ALTER TABLE rides ADD COLUMN km text[]")
    agree(connection, contract({"": [form("schema")]}, keys=keys | {"gone": {}}))


def test_names_that_need_quotes(connection: psycopg.Connection[Any]) -> None:
    names = ["select", "Ünï cødé", "x" * 63, "a'b", "%s", "a.b", "$1", "${x", " "]
    columns = ", ".join(f'"{name}" integer' for name in names)
    connection.execute(f"DROP TABLE rides; CREATE TABLE rides ({columns})".encode())
    connection.execute(b"INSERT INTO rides VALUES (1, 2, NULL, 4), (1, 3, NULL, 4)")
    checks = [{"missing": {}}, {"duplicate": {}}, {"invalid": {"valid_min": 3}}]
    document = {
        "dataset": "w/demo/public/rides",
        "columns": [
            {"name": name, "checks": [*checks, {"aggregate": aggregate("avg")[1]}]} for name in names
        ],
        "checks": [{"schema": {}}, {"duplicate": {"columns": names}}],
    }
    agree(connection, Contract.from_text(write_yaml(document)))


class TestWhereSodaIsWrong:
    """Differences that are meant; each is a fault of soda-core 4.28 that would be one of ours if we shared it."""

    def test_one_broken_check_voids_all_of_sodas_and_one_of_ours(
        self, connection: psycopg.Connection[Any]
    ) -> None:
        wanted = contract({"code": [aggregate("avg"), form("missing")], "km": [form("missing")]})
        soda, native = both(connection, wanted)
        assert [check.verdict for check in soda.checks[:3]] == [Verdict.ERROR] * 3
        assert [check.verdict for check in native.checks[:3]] == [Verdict.ERROR, Verdict.FAIL, Verdict.FAIL]
        assert soda.verdict is native.verdict is Verdict.ERROR

    def test_an_invalid_row_is_counted_once_however_often_the_reference_holds_its_value(
        self, connection: psycopg.Connection[Any]
    ) -> None:
        """Soda counts joined rows, and so a row per occurrence of its value in the reference."""
        connection.execute("INSERT INTO zones VALUES ('A')")
        wanted = contract({"zone": [form("invalid", valid_reference_data=ZONES, invalid_values=["A"])]})
        assert [report.checks[0].observed for report in both(connection, wanted)] == [45, 30]

    def test_two_columns_are_not_one_text(self, connection: psycopg.Connection[Any]) -> None:
        """Soda tells rows apart by a text joined with ``||``; ``a||`` and ``b`` is then ``a`` and ``||b``."""
        connection.execute("TRUNCATE rides")
        connection.execute(
            """INSERT INTO rides (id, code, "order") VALUES (1, 'a||', 'b'), (2, 'a', '||b')"""
        )
        wanted = contract({"": [form("duplicate", columns=["code", "order"])]})
        assert [report.checks[0].observed for report in both(connection, wanted)] == [1, 0]

    def test_a_quote_in_a_name_is_part_of_the_name(self, connection: psycopg.Connection[Any]) -> None:
        """Soda by itself puts the name between quotes as it is; our adapter quotes it for Soda."""
        connection.execute("""ALTER TABLE rides ADD COLUMN "a "" b" integer""")
        for report in both(connection, contract({'a " b': [form("missing")]})):
            assert (report.checks[0].verdict, report.checks[0].observed) == (Verdict.FAIL, 60)
