"""Rows through the binary COPY: what a model reads of them is what it reads of a file, keys come out as they went in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.adapters.onnx import iterate_columns
from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.tallies import hash_doubles
from airflow_dataml.adapters.postgres.warehouse import PostgresWarehouse
from airflow_dataml.core.datasets import Column, Fingerprint, Part
from airflow_dataml.core.errors import DataMLError
from airflow_dataml.core.features import as_coded, as_numbers
from airflow_dataml.core.refs import Relation
from airflow_dataml.core.scans import UNSEEN, KeyedBlock, ScanPlan
from airflow_dataml.steps.scoring import prediction_ids

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration
NUMERIC = {
    "small": "smallint", "whole": "bigint", "single": "real", "double": "double precision",
    "exact": "numeric(12,3)", "flag": "boolean", "said": "text",
}  # fmt: skip
CODED = {"kind": "text", "padded": "character(6)", "opened": "boolean", "at": "date", "n": "integer"}
KEYS = {"k": "integer", "t": "text", "m": "timestamp with time zone"}
COLUMNS = tuple(Column(name, type_) for name, type_ in {**KEYS, **NUMERIC, **CODED}.items())
TABLE = Relation("public", "wide")
ROWS = 1000


@pytest.fixture
def db(postgres_dsn: str) -> Iterator[Connection]:
    with Connection(postgres_dsn) as db:
        body = ", ".join(f"{c.name} {c.type}" for c in COLUMNS)
        db.execute(f"CREATE TABLE public.wide ({body})")
        db.execute(f"""
            INSERT INTO public.wide SELECT g, nullif(repeat('é', g % 5), ''), timestamptz '2026-01-01' + g * interval '1 s',
              nullif(g % 7, 3), nullif(g::bigint * 1234567891, 0), g / 3.0, CASE WHEN g % 11 = 0 THEN 'NaN' ELSE g / 7.0 END,
              nullif(g % 100, 5) / 8.0, CASE g % 3 WHEN 0 THEN true WHEN 1 THEN false END,
              (ARRAY['1.5', 't', 'false', NULL])[1 + g % 4],
              (ARRAY['bus', 'tram', '', NULL, 'a,"b'])[1 + g % 5], (ARRAY['x', 'yy'])[1 + g % 2],
              g % 2 = 0, date '2026-01-01' + g % 9, nullif(g % 4, 2)
            FROM generate_series(1, {ROWS}) g""")
        yield db


def part_of(db: Connection) -> Part:
    profile = PostgresWarehouse(db).profile(TABLE, COLUMNS, {})
    return Part(1, "wide", str(TABLE), COLUMNS, Fingerprint(ROWS, 0, 0), profile=profile)


def blocks_of(db: Connection, plan: ScanPlan) -> list[Any]:
    with PostgresWarehouse(db).scan([part_of(db)], COLUMNS, plan) as scanned:
        return list(scanned)


@pytest.mark.parametrize("block_rows", [100, 333, 5000], ids=str)
def test_columns_are_what_a_file_of_them_says(db: Connection, tmp_path: Path, block_rows: int) -> None:
    import numpy as np

    plan = ScanPlan(tuple(NUMERIC), dict.fromkeys(CODED), tuple(KEYS), block_rows)
    blocks = blocks_of(db, plan)
    path = tmp_path / "rows.csv"
    PostgresWarehouse(db).export_csv("SELECT * FROM public.wide ORDER BY k", path)
    [theirs] = iterate_columns(path, numeric=set(NUMERIC), coded=set(CODED), block_rows=ROWS)
    for name in NUMERIC:
        ours = np.concatenate([as_numbers(name, block.columns[name]) for block in blocks])
        expected = as_numbers(name, theirs[name]).astype(np.float32)
        assert np.array_equal(ours.astype(np.float32), expected, equal_nan=True), name
    for name in CODED:
        spelled = [value for block in blocks for value in block.columns[name].to_objects().tolist()]
        assert spelled == as_coded(theirs[name]).to_objects().tolist(), name


def test_values_nobody_asked_for_are_unseen_and_not_missing(db: Connection) -> None:
    [block] = blocks_of(db, ScanPlan((), {"kind": ("tram",)}, ("k",)))
    assert set(block.columns["kind"].to_objects().tolist()) == {"tram", UNSEEN, None}
    [nothing] = blocks_of(db, ScanPlan((), {"kind": ()}, ("k",)))
    assert set(nothing.columns["kind"].to_objects().tolist()) == {UNSEEN, None}


@pytest.mark.parametrize("keys", [("k",), tuple(KEYS)], ids=["of one size", "with texts and nulls"])
def test_keys_come_out_as_they_went_in(db: Connection, keys: tuple[str, ...]) -> None:
    import numpy as np

    warehouse, written = PostgresWarehouse(db), Relation("public", "written")
    columns = [
        *(Column(name, KEYS[name]) for name in keys),
        Column("role", "text"), Column("version", "integer"), Column("score", "double precision"), Column("id", "uuid"),
    ]  # fmt: skip
    warehouse.create_table(written, columns)

    def scored(blocks: Iterator[Any]) -> Iterator[KeyedBlock]:
        first = 0
        for block in blocks:
            scores = np.where(block.columns["double"] > 100, np.nan, block.columns["double"])
            ids = prediction_ids(bytes(8), 0, first, block.rows)
            yield KeyedBlock(block.rows, block.keys, {"role": "é", "version": 7, "score": scores, "id": ids})
            first += block.rows

    with warehouse.scan([part_of(db)], COLUMNS, ScanPlan(("double",), {}, keys, 300)) as scanned:
        assert warehouse.copy_keyed(written, columns, scored(scanned)) == ROWS
    names = ", ".join(keys)
    expected = (
        f"SELECT {names}, CASE WHEN double > 100 OR double = 'NaN' THEN NULL ELSE double END FROM public.wide"
    )
    got = f"SELECT {names}, score FROM public.written"
    for one, other in ((expected, got), (got, expected)):
        assert db.rows(f"{one} EXCEPT {other}") == []
    assert db.rows("SELECT DISTINCT role, version FROM public.written") == [{"role": "é", "version": 7}]
    assert db.scalar("SELECT count(DISTINCT id) FROM public.written") == ROWS


def test_no_row_is_no_block(db: Connection) -> None:
    db.execute("TRUNCATE public.wide")
    with PostgresWarehouse(db).scan(
        [Part(1, "wide", str(TABLE), COLUMNS, Fingerprint(0, 0, 0))],
        COLUMNS,
        ScanPlan(("double",), {}, ("k",)),
    ) as scanned:
        assert list(scanned) == []


def test_what_the_database_refuses_while_reading_is_said(db: Connection) -> None:
    db.execute("UPDATE public.wide SET said = 'much' WHERE k = 900")
    with pytest.raises(DataMLError, match="much"):
        blocks_of(db, ScanPlan(("said",), {}, ("k",), 50))


def test_whoever_stops_early_ends_the_reading(db: Connection) -> None:
    with PostgresWarehouse(db).scan([part_of(db)], COLUMNS, ScanPlan(("double",), {}, ("k",), 10)) as scanned:
        assert next(scanned).rows == 10
    assert db.scalar("SELECT count(*) FROM public.wide") == ROWS


def test_hashes_are_the_servers(db: Connection) -> None:
    import numpy as np

    values = np.array([0.0, -0.0, 1.0, -1.5, 1e-300, 3.14159, 1e300])
    rows = db.rows(
        "SELECT hashfloat8extended(v, 0) AS h FROM unnest(%s::float8[]) WITH ORDINALITY u(v, n) ORDER BY n",
        [values.tolist()],
    )
    assert [row["h"] % 2**64 for row in rows] == hash_doubles(values).tolist()
