"""A table nobody publishes here is read once; later verifications read the block ranges that changed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from airflow_dataml.adapters.native import NativeEngine
from airflow_dataml.core.contract import Contract
from airflow_dataml.core.errors import QualityGateError
from airflow_dataml.core.refs import Relation
from airflow_dataml.steps.examine import Question
from airflow_dataml.steps.verify import verify_table
from tests.support import declare, identity

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.governance import Report

QUESTION = Question(
    Contract.from_text("""
dataset: w/db/public/orders
columns:
  - {name: id, checks: [missing: , duplicate: ]}
checks: [row_count: {threshold: {must_be_greater_than: 10}}]
""")
)
STATES = "SELECT count(*) FROM dataml.segment_state"


@pytest.fixture
def shop(ledger: PostgresLedger) -> PostgresLedger:
    declare(ledger, "orders", kind="external")
    ledger.connection.execute(
        "CREATE TABLE public.orders WITH (autovacuum_enabled = off) AS SELECT g AS id FROM generate_series(1, 2000) g"
    )
    return ledger


def verify(ledger: PostgresLedger, run: str, question: Question = QUESTION) -> Report:
    return verify_table(
        ledger=ledger,
        warehouse=ledger.warehouse,
        store=ledger.store,
        engine=NativeEngine(range_pages=1),
        identity=identity("check", run),
        asset="orders",
        relation=Relation("public", "orders"),
        question=question,
    )


def test_the_report_says_how_many_ranges_were_read(shop: PostgresLedger) -> None:
    first, again = verify(shop, "1").body, verify(shop, "2").body
    total = first["segments"]["of"]
    assert first["segments"] == {"read": total, "of": total}
    assert again["segments"] == {"read": 0, "of": total}
    assert again["checks"] == first["checks"]
    shop.connection.execute("UPDATE public.orders SET id = 3 WHERE id = 4")
    with pytest.raises(QualityGateError) as refused:
        verify(shop, "3")
    assert 0 < refused.value.report["segments"]["read"] < total


def test_whoever_asks_for_it_has_all_rows_read(shop: PostgresLedger) -> None:
    body = verify(shop, "1", replace(QUESTION, incremental=False)).body
    assert "segments" not in body
    assert shop.connection.scalar(STATES) == 0


def test_states_beyond_the_end_and_of_forgotten_contracts_go(shop: PostgresLedger) -> None:
    total = verify(shop, "1").body["segments"]["of"]
    shop.connection.execute("DELETE FROM public.orders WHERE id > 1000")
    shop.connection.execute("VACUUM public.orders")
    assert verify(shop, "2").body["segments"]["of"] == shop.connection.scalar(STATES) < total
    shop.connection.execute("UPDATE dataml.segment_state SET plan = 'old'")
    verify(shop, "3")
    assert shop.connection.scalar(f"{STATES} WHERE plan = 'old'") > 0
    shop.connection.execute(
        "UPDATE dataml.segment_state SET measured_at = now() - interval '31 days' WHERE plan = 'old'"
    )
    shop.connection.execute("INSERT INTO public.orders VALUES (7000)")
    verify(shop, "4")
    assert shop.connection.scalar(f"{STATES} WHERE plan = 'old'") == 0
