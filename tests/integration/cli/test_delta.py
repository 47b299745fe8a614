"""The commands for datasets in Delta tables."""

from __future__ import annotations

import os

import pytest

from airflow_dataml.adapters.delta import delta_store
from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.adapters.postgres.migrate import migrate
from airflow_dataml.cli.connection import DSN_VARIABLE
from tests.integration.cli.conftest import Terminal
from tests.ports.store_world import DeltaWorld

pytestmark = pytest.mark.integration
FIRST = [(1, "bike", 2.5), (2, "car", None), (3, None, 7.0)]


@pytest.fixture
def world(postgres_dsn, tmp_path):
    with Connection(postgres_dsn) as connection:
        migrate(connection)
    with PostgresLedger.connect(postgres_dsn) as ledger:
        made = DeltaWorld(ledger, delta_store(ledger), postgres_dsn, str(tmp_path / "rides"))
        ledger.assets.set_location("rides", {"uri": made.location, "store": "delta"})
        made.write(FIRST)
        made.write([(1, "x", 1.0, None), (4, "new", 4.0, None)], mode="merge")
        yield made


@pytest.fixture
def dataml(world, capsys, monkeypatch):
    monkeypatch.setenv(DSN_VARIABLE, world.dsn)
    return Terminal(capsys)


def write_foreign(world):
    import pyarrow
    from deltalake import write_deltalake

    write_deltalake(
        world.location,
        pyarrow.table({"id": pyarrow.array([77], pyarrow.int32())}),
        mode="append",
        schema_mode="merge",
    )


def test_history_says_which_commit_is_which_version(dataml, world):
    code, rows = dataml.json("delta", "history", "rides")
    assert code == 0
    assert [(r["commit"], r["version"], r["operation"]) for r in rows] == [
        (1, "rides@2", "WRITE"),
        (0, "rides@1", "CREATE TABLE"),
    ]
    _, by_uri, _ = dataml("delta", "history", world.location)
    assert by_uri.splitlines()[1].split()[0] == "1"


def test_changes_are_those_between_two_versions(dataml):
    code, rows = dataml.json("delta", "changes", "rides", "--from", "1", "--to", "2", "--key", "id")
    assert code == 0
    assert sorted((r["id"], r["_change_type"]) for r in rows) == [
        (1, "update_postimage"),
        (1, "update_preimage"),
        (4, "insert"),
    ]
    _, out, _ = dataml("delta", "changes", "rides", "--from", "2", "--to", "2")
    assert out == "No row changed.\n"


def test_a_constraint_is_put_on_the_table(dataml, world):
    code, out, _ = dataml("delta", "constrain", "rides", "real=id > 0")
    assert (code, "real: id > 0" in out) == (0, True)
    code, _, err = dataml("delta", "constrain", "rides", "id > 0")
    assert (code, "write NAME=CONDITION" in err) == (1, True)
    assert world.store.files.log(world.location).constraints == {"real": "id > 0"}


def test_vacuum_plans_and_deletes_what_nothing_needs(dataml, world):
    write_foreign(world)
    dataml("delta", "discard", "rides")
    _, plan = dataml.json("delta", "vacuum", "rides", "--dry-run")
    assert (len(plan["files"]), plan["dry_run"]) == (1, True)
    _, out, _ = dataml("delta", "vacuum", "rides")
    assert "Deleted 1 files" in out
    assert "2 versions keep all of their files" in out
    assert world.scan(world.ledger.versions.find("rides@1")) == world.scan(
        world.roll_back(world.ledger.versions.find("rides@1"))
    )


def test_what_others_wrote_is_taken_over(dataml, world):
    write_foreign(world)
    code, data = dataml.json("delta", "adopt", "rides")
    assert (code, data) == (0, {"version": "rides@3", "rows": 5})
    version = world.ledger.versions.find("rides")
    assert world.seen() == world.scan(version)
    assert version.facts["commits"] == [2]
    _, out, _ = dataml("delta", "adopt", "rides")
    assert "Nobody else wrote" in out


def test_what_others_wrote_is_taken_back(dataml, world):
    before = world.seen()
    write_foreign(world)
    code, out, _ = dataml("delta", "discard", "rides")
    assert (code, "see rides@2 again, by commit 3" in out) == (0, True)
    assert world.seen() == before
    world.write([(5, "after", 5.0)])
    _, out, _ = dataml("delta", "discard", "rides")
    assert "Nobody else wrote" in out


def test_gc_sweeps_what_killed_tasks_left_in_the_table(dataml, world, tmp_path):
    stray = tmp_path / "rides" / "dataml-killed.parquet"
    stray.write_bytes(b"half")
    long_ago = stray.stat().st_mtime - 7 * 86_400
    os.utime(stray, (long_ago, long_ago))
    _, plan = dataml.json("gc", "--dry-run")
    assert plan["strays"] == {"strays": {str(stray): 4}, "bytes_freed": 4}
    assert stray.exists()
    code, out, _ = dataml("gc")
    assert (code, f"Swept 1 strays:\n- {stray} (4 B)" in out, stray.exists()) == (0, True, False)
    assert world.seen() == world.scan(world.ledger.versions.find("rides"))


def test_a_table_that_cannot_be_looked_at_leaves_the_rest_of_gc(dataml, world, tmp_path):
    (tmp_path / "rides").rename(tmp_path / "elsewhere")
    (tmp_path / "rides").write_text("no folder")
    code, out, _ = dataml("gc")
    assert (code, "Strays of delta were not looked for: the Delta table" in out) == (1, True)
    assert "DATASET" in out


def test_other_datasets_are_refused(dataml, world, tmp_path):
    world.ledger.assets.set_location("rides", {"uri": None, "store": "postgres", "table": "public.rides"})
    code, _, err = dataml("delta", "vacuum", "rides")
    assert (code, "is kept in PostgreSQL" in err) == (1, True)
    code, _, err = dataml("delta", "history", str(tmp_path / "none"))
    assert (code, "there is no Delta table at" in err) == (1, True)
