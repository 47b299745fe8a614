"""Rows from other connections, from Parquet and from Arrow."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import pytest

from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.layout import Layout
from airflow_dataml.operators.staging import arrow_source
from airflow_dataml.steps.ingest import Target, stage_parquet, stage_source
from tests.support import declare, identity, publish

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import StagedPart
    from airflow_dataml.core.stores import Arrow

COLUMNS = (Column("id", "bigint"), Column("kind", "text"), Column("km", "double precision"))
pa = importlib.import_module("pyarrow")
pq = importlib.import_module("pyarrow.parquet")
TABLE = pa.table({"id": [1, 2, 3], "kind": ["bike", "", None], "km": [1.5, None, float("nan")]})


def arrow(ledger: PostgresLedger, source: Arrow, *, run: str = "run") -> StagedPart:
    return stage_source(
        ledger=ledger,
        store=ledger.store,
        identity=identity("stage", run),
        target=Target("rides", "append"),
        source=source,
        digest=run,
        origin="Arrow",
    )


def rows(ledger: PostgresLedger) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in ledger.connection.rows("SELECT * FROM public.rides ORDER BY id")]


def test_arrow_keeps_null_apart_from_empty(ledger: PostgresLedger) -> None:
    declare(ledger)
    publish(ledger, arrow(ledger, arrow_source(TABLE)))
    assert rows(ledger)[:2] == [(1, "bike", 1.5), (2, "", None)]
    assert str(rows(ledger)[2]) == "(3, None, nan)"


def test_every_arrow_type_has_a_column_type(ledger: PostgresLedger) -> None:
    import datetime as dt
    from decimal import Decimal

    declare(ledger)
    moment = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    table = pa.table(
        {
            "id": pa.array([1], pa.int16()),
            "flag": [True],
            "amount": pa.array([Decimal("1.50")], pa.decimal128(10, 2)),
            "day": [moment.date()],
            "at": pa.array([moment], pa.timestamp("us", tz="UTC")),
            "local": pa.array([moment.replace(tzinfo=None)], pa.timestamp("us")),
            "raw": [b"\x00a"],
            "kind": pa.array(["bike"]).dictionary_encode(),
        }
    )
    publish(ledger, arrow(ledger, arrow_source(table)))
    assert rows(ledger) == [
        (1, True, Decimal("1.50"), moment.date(), moment, moment.replace(tzinfo=None), b"\x00a", "bike")
    ]


def test_a_type_without_a_column_type_is_named(ledger: PostgresLedger) -> None:
    declare(ledger)
    with pytest.raises(SpecError, match="Arrow column 'nested' is struct"):
        arrow(ledger, arrow_source(pa.table({"nested": [{"a": 1}]})))


def test_what_does_not_speak_arrow_is_refused() -> None:
    with pytest.raises(SpecError, match="rows were given as list"):
        arrow_source([1, 2])


def test_a_parquet_file_is_staged_by_the_columns_of_the_contract(
    ledger: PostgresLedger, tmp_path: Path
) -> None:
    declare(ledger)
    pq.write_table(TABLE.select(["km", "id", "kind"]), tmp_path / "batch.parquet")
    staged = stage_parquet(
        ledger=ledger,
        store=ledger.store,
        identity=identity("stage"),
        target=Target("rides", "append"),
        path=tmp_path / "batch.parquet",
        columns=COLUMNS,
    )
    part = ledger.versions.part(staged.part_id)
    assert (part.rows, part.columns) == (3, COLUMNS)


def test_a_declared_column_that_a_parquet_file_leaves_out_is_of_its_declared_type(
    ledger: PostgresLedger, tmp_path: Path
) -> None:
    declare(ledger)
    pq.write_table(TABLE.select(["km", "id", "kind"]), tmp_path / "batch.parquet")
    declared = (*COLUMNS, Column("seats", "bigint"), Column("fare", "numeric(8,2)"))
    staged = stage_parquet(
        ledger=ledger,
        store=ledger.store,
        identity=identity("stage"),
        target=Target("rides", "append", layout=Layout(defaults={"seats": "1", "fare": "2.5"})),
        path=tmp_path / "batch.parquet",
        columns=declared,
    )
    part = ledger.versions.part(staged.part_id)
    assert part.columns == declared
    found = ledger.connection.rows(f"SELECT DISTINCT seats, fare::text FROM {part.relation.quoted}")
    assert found == [{"seats": 1, "fare": "2.50"}]


@pytest.mark.parametrize("content", [None, b"not parquet"], ids=["missing", "no parquet"])
def test_a_file_that_cannot_be_read_is_named(
    ledger: PostgresLedger, tmp_path: Path, content: bytes | None
) -> None:
    declare(ledger)
    path = tmp_path / "batch.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SpecError, match=r"batch\.parquet' cannot be read"):
        stage_parquet(
            ledger=ledger,
            store=ledger.store,
            identity=identity("stage"),
            target=Target("rides", "append"),
            path=path,
            columns=COLUMNS,
        )
