"""Merges, schemas over time and reads as of a version or a time, on PostgreSQL."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg
import pytest

from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import QualityGateError, SpecError, StaleVersionError, VersionNotFoundError
from airflow_dataml.core.layout import Layout
from tests.integration.steps.rides import COLUMNS, Rides

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.ledger import PostgresLedger

FLAGGED = (*COLUMNS, Column("gone", "boolean"))
WIDE = (*COLUMNS, Column("note", "text"))


@pytest.fixture
def rides(ledger: PostgresLedger) -> Rides:
    return Rides(ledger, layout=Layout(keys=("id",)))


class TestMerge:
    def test_rows_are_inserted_updated_and_deleted(self, rides: Rides) -> None:
        rides.write([(1, "bike", 1.0), (2, "bike", 2.0)])
        rides.write([(3, "car", 3.0), (4, "car", 4.0)])
        batch = [(2, "tram", 2.5, None), (3, "car", 3.0, True), (5, "bus", 5.0, False)]
        version = rides.write(batch, mode="merge", keys=["id"], flag="gone", columns=FLAGGED)
        assert rides.read() == [(1, "bike", 1.0), (2, "tram", 2.5), (4, "car", 4.0), (5, "bus", 5.0)]
        assert rides.view() == rides.read()
        assert [c.name for c in rides.ledger.versions.columns(version.version_id)] == ["id", "kind", "km"]

    def test_only_parts_that_hold_a_touched_key_are_written_anew(self, rides: Rides) -> None:
        rides.write([(1, "bike", 1.0)])
        before = rides.write([(10, "bike", 2.0), (11, "bike", 2.0)])
        version = rides.write([(10, "tram", 0.0)], mode="merge", keys=["id"])
        old, new = (
            [p.part_id for p in rides.ledger.versions.manifest(v.version_id)] for v in (before, version)
        )
        assert old[0] == new[0]
        assert len(new) == 3
        assert old[1] not in new

    def test_the_old_version_is_still_what_it_was(self, rides: Rides) -> None:
        first = rides.write([(1, "bike", 1.0)])
        rides.write([(1, "tram", 9.0)], mode="merge", keys=["id"])
        assert rides.read(first.ref) == [(1, "bike", 1.0)]

    def test_a_merge_and_a_replacement_of_equal_content_have_one_fingerprint(self, rides: Rides) -> None:
        rides.write([(1, "bike", 1.0), (2, "bike", 2.0)])
        merged = rides.write([(2, "tram", 2.0)], mode="merge", keys=["id"])
        replaced = rides.write([(2, "tram", 2.0), (1, "bike", 1.0)], mode="replace")
        assert merged.fingerprint == replaced.fingerprint

    def test_a_part_left_empty_is_left_out(self, rides: Rides) -> None:
        rides.write([(1, "bike", 1.0)])
        version = rides.write([(1, "tram", 1.0)], mode="merge", keys=["id"])
        assert len(rides.ledger.versions.manifest(version.version_id)) == 1

    def test_everything_may_be_deleted(self, rides: Rides) -> None:
        rides.write([(1, "bike", 1.0)])
        version = rides.write(
            [(1, None, None, True)], mode="merge", keys=["id"], flag="gone", columns=FLAGGED
        )
        assert (version.rows, rides.view()) == (0, [])

    def test_into_nothing_it_inserts(self, rides: Rides) -> None:
        rides.write([(1, "bike", 1.0)], mode="merge", keys=["id"])
        assert rides.read() == [(1, "bike", 1.0)]

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ([(1, "a", 1.0), (1, "b", 2.0)], "1 keys occur more than once"),
            ([(None, "a", 1.0)], "1 rows have a null key"),
        ],
        ids=["twice", "null"],
    )
    def test_a_key_names_one_row(self, rides: Rides, rows: list[tuple[object, ...]], message: str) -> None:
        rides.write([(1, "bike", 1.0)])
        with pytest.raises(QualityGateError, match=message):
            rides.stage(rows, mode="merge", keys=["id"])
        assert rides.ledger.store.strays(rides.ledger.retention.locators("postgres")) == {}

    def test_a_run_id_with_a_tilde_loses_no_row(self, rides: Rides) -> None:
        rides.write([(1, "bike", 1.0), (2, "bike", 2.0)])
        rides.write([(1, "bus", 9.0)], mode="merge", keys=["id"], run="manual~1")
        assert rides.view() == [(1, "bus", 9.0), (2, "bike", 2.0)]

    def test_a_key_that_older_rows_lack_is_none_of_theirs(self, rides: Rides) -> None:
        rides.write([(1, "bike", 1.0)])
        rides.write([(1, "bus", 2.0, "x")], columns=WIDE, mode="merge", keys=["id", "note"])
        rides.write([(1, "car", 3.0, "x")], columns=WIDE, mode="merge", keys=["id", "note"])
        assert rides.view() == [(1, "bike", 1.0, None), (1, "car", 3.0, "x")]

    def test_an_unknown_key_is_named(self, rides: Rides) -> None:
        with pytest.raises(SpecError, match="no column 'number' to merge by: it has id, kind, km"):
            rides.stage([(1, "bike", 1.0)], mode="merge", keys=["number"])

    def test_what_became_current_meanwhile_is_not_lost(self, rides: Rides) -> None:
        rides.write([(1, "bike", 1.0)])
        staged = rides.stage([(1, "tram", 9.0)], mode="merge", keys=["id"])
        rides.write([(2, "bus", 2.0)])
        with pytest.raises(StaleVersionError, match="rides@2 is current now: run the batch again"):
            rides.publish(staged)
        assert rides.read() == [(1, "bike", 1.0), (2, "bus", 2.0)]

    def test_a_retry_adopts_what_was_staged(self, rides: Rides) -> None:
        rides.write([(1, "bike", 1.0), (2, "bike", 2.0)])
        once, again = (rides.stage([(1, "tram", 9.0)], mode="merge", keys=["id"], run="same") for _ in "ab")
        assert once == again
        assert len(once.rewrites) == 1


class TestSchema:
    def test_a_new_column_is_null_in_older_rows(self, rides: Rides) -> None:
        rides.write([(1, "bike", 1.0)])
        version = rides.write([(2, "bus", 2.0, "x")], columns=[*COLUMNS, Column("note", "text")])
        assert rides.view() == [(1, "bike", 1.0, None), (2, "bus", 2.0, "x")]
        assert version.facts["schema"]["class"] == "additive"

    def test_a_wider_type_widens_the_dataset(self, ledger: PostgresLedger) -> None:
        rides = Rides(ledger, "narrow")
        rides.write([(1,)], columns=[Column("id", "integer")])
        rides.write([(2**40,)], columns=[Column("id", "bigint")])
        rides.write([(3,)], columns=[Column("id", "integer")])
        assert rides.view() == [(1,), (2**40,), (3,)]
        wide = Rides(ledger, "wide").write([(1,), (2**40,), (3,)], columns=[Column("id", "bigint")])
        assert ledger.versions.find("narrow").fingerprint == wide.fingerprint

    def test_a_null_column_leaves_the_fingerprint(self, rides: Rides) -> None:
        rides.write([(1, "bike", 1.0)])
        evolved = rides.write([(2, "bus", 2.0, None)], columns=[*COLUMNS, Column("note", "text")])
        whole = rides.write(
            [(1, "bike", 1.0, None), (2, "bus", 2.0, None)],
            columns=[*COLUMNS, Column("note", "text")],
            mode="replace",
        )
        assert evolved.fingerprint == whole.fingerprint

    def test_a_lost_column_is_refused_and_the_readers_are_named(self, rides: Rides) -> None:
        from airflow_dataml.core.lineage import Edge, version_node

        first = rides.write([(1, "bike", 1.0)])
        other = Rides(rides.ledger, "features").write([(1, "bike", 1.0)])
        run = rides.ledger.runs.begin(_identity(), input_digest="x")
        edge = Edge(version_node(first.version_id), version_node(other.version_id), "derived")
        rides.ledger.lineage.add([edge], run=run)
        staged = rides.stage([(1, "bike")], columns=COLUMNS[:2], mode="replace")
        with pytest.raises(QualityGateError, match=r"km double precision is gone\. Read by features@1\. "):
            rides.publish(staged)
        rides.publish(staged, allow_breaking=True)
        assert rides.view() == [(1, "bike")]

    def test_rows_that_stay_cannot_change_their_type(self, rides: Rides) -> None:
        rides.write([(1, "bike", 1.0)])
        columns = [COLUMNS[0], Column("kind", "integer"), COLUMNS[2]]
        with pytest.raises(QualityGateError, match="kind was text and is integer"):
            rides.write([(2, 7, 1.0)], columns=columns, allow_breaking=True)
        rides.write([(2, 7, 1.0)], columns=columns, mode="replace", allow_breaking=True)
        assert rides.view() == [(2, 7, 1.0)]

    def test_other_peoples_views_survive(self, rides: Rides) -> None:
        rides.write([(1, "bike", 1.0)])
        db = rides.ledger.connection
        db.execute("CREATE VIEW public.bikes AS SELECT id FROM public.rides WHERE kind = 'bike'")
        columns = [Column("kind", "text"), Column("id", "bigint"), Column("km", "double precision")]
        rides.write([("bike", 2, 1.0)], columns=columns, mode="replace")
        wide = [*COLUMNS, Column("note", "text")]
        rides.write([(3, "bike", 1.0, "x")], columns=wide)
        assert [row["id"] for row in db.rows("SELECT id FROM public.bikes ORDER BY id")] == [2, 3]


class TestAsOf:
    def test_a_time_finds_what_was_current_then(self, rides: Rides) -> None:
        rides.write([(1, "bike", 1.0)])
        time.sleep(0.01)
        between = datetime.now(UTC)
        rides.write([(2, "bus", 2.0)])
        assert rides.ledger.versions.find(f"rides@{between.isoformat()}").number == 1
        assert rides.ledger.versions.find("rides").number == 2

    def test_before_the_first_there_was_none(self, rides: Rides) -> None:
        rides.write([(1, "bike", 1.0)])
        with pytest.raises(VersionNotFoundError, match="rides@2001-01-01"):
            rides.ledger.versions.find("rides@2001-01-01")


class TestReaders:
    def test_an_old_snapshot_is_told_to_repeat(self, rides: Rides, ledger_dsn: str) -> None:
        rides.write([(1, "bike", 1.0)])
        with psycopg.connect(ledger_dsn) as reader:
            reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            reader.execute("SELECT 1 FROM pg_class LIMIT 1")
            rides.write([(2, "bus", 2.0)], mode="replace")
            with pytest.raises(psycopg.errors.SerializationFailure, match="published after the snapshot"):
                reader.execute("SELECT * FROM public.rides")
            reader.rollback()
            assert reader.execute("SELECT id FROM public.rides").fetchall() == [(2,)]

    def test_a_long_reader_holds_the_switch_and_not_the_readers_behind_it(
        self, rides: Rides, ledger_dsn: str
    ) -> None:
        rides.write([(1, "bike", 1.0)])
        staged = rides.stage([(2, "bus", 2.0)])
        waits: list[float] = []
        with psycopg.connect(ledger_dsn) as slow, psycopg.connect(ledger_dsn, autocommit=True) as quick:
            slow.execute("SELECT * FROM public.rides")
            switching = threading.Thread(target=rides.publish, args=(staged,))
            switching.start()
            until = time.monotonic() + 1.0
            while time.monotonic() < until:
                began = time.monotonic()
                assert quick.execute("SELECT count(*) FROM public.rides").fetchone() == (1,)
                waits.append(time.monotonic() - began)
            slow.rollback()
            switching.join(30)
            assert quick.execute("SELECT count(*) FROM public.rides").fetchone() == (2,)
        assert max(waits) < 1.0

    @pytest.mark.parametrize("sql", ["DELETE FROM {}", "UPDATE {} SET id = 0", "TRUNCATE {}"], ids=str)
    def test_a_part_cannot_be_changed(self, rides: Rides, sql: str) -> None:
        staged = rides.stage([(1, "bike", 1.0)])
        with pytest.raises(SpecError, match="cannot be changed"):
            rides.ledger.connection.execute(sql.format(staged.relation))

    def test_the_view_cannot_be_written(self, rides: Rides) -> None:
        rides.write([(1, "bike", 1.0)])
        with pytest.raises(Exception, match="rides"):
            rides.ledger.connection.execute("INSERT INTO public.rides VALUES (2, 'bus', 1.0)")
        assert rides.view() == [(1, "bike", 1.0)]


def _identity() -> object:
    from tests.support import identity

    return identity("edge")
