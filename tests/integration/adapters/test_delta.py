"""Datasets in Delta tables: what the suite of all stores does not ask."""

from __future__ import annotations

import sys
import uuid
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from airflow_dataml.adapters.delta import DeltaStore, delta_store
from airflow_dataml.adapters.delta.foreign import AdoptingStore, discard
from airflow_dataml.adapters.delta.log import DeltaLog
from airflow_dataml.adapters.delta.maintenance import add_constraint, changes, vacuum
from airflow_dataml.adapters.delta.merging import may_touch, values_of
from airflow_dataml.adapters.delta.scratch import Scratch
from airflow_dataml.adapters.delta.types import arrow_type
from airflow_dataml.core.contract import Contract
from airflow_dataml.core.datasets import Column, Fingerprint, Part
from airflow_dataml.core.errors import (
    ConflictError,
    GateError,
    MissingExtraError,
    NotFoundError,
    SpecError,
    StaleVersionError,
    WarehouseError,
)
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.retention import RetentionPolicy
from airflow_dataml.core.stores import Change
from airflow_dataml.steps.retain import collect, sweep
from airflow_dataml.steps.rollback import roll_back
from airflow_dataml.steps.verify import verify_part
from tests.ports.store_world import COLUMNS, DeltaWorld, as_set
from tests.support import identity

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger

FIRST = [(1, "bike", 2.5), (2, "car", None), (3, None, 7.0)]
MORE = [(4, "bike", 1.0), (5, "tram", 2.0)]


@pytest.fixture
def world(ledger: PostgresLedger, ledger_dsn: str, tmp_path: Path) -> DeltaWorld:
    store = DeltaStore(Scratch(ledger.store, ledger.warehouse), stray_age=timedelta(0))
    return DeltaWorld(ledger, store, ledger_dsn, str(tmp_path / "rides"))


def commits(world: DeltaWorld) -> list[tuple[int, str]]:
    """What is in the log, oldest first."""
    log = world.store.files.log(world.location)
    return [(c.version, c.operation) for c in reversed(list(log.commits()))]


def at(world: DeltaWorld, version: int) -> Any:
    """The rows plain deltalake reads at a commit."""
    from deltalake import DeltaTable

    return as_set(
        row.values() for row in DeltaTable(world.location, version=version).to_pyarrow_table().to_pylist()
    )


def write_foreign(world: DeltaWorld, rows: list[tuple[Any, ...]], **given: Any) -> None:
    """Somebody else writes with deltalake alone."""
    import pyarrow
    from deltalake import write_deltalake

    names = [c.name for c in COLUMNS]
    schema = pyarrow.schema([(c.name, arrow_type(c)) for c in COLUMNS])
    table = pyarrow.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], schema)
    write_deltalake(world.location, table, **({"mode": "append"} | given))


class TestCommits:
    def test_a_version_is_a_commit_that_plain_readers_travel_to(self, world: DeltaWorld) -> None:
        made = [(world.write(FIRST), FIRST), (world.write(MORE), [*FIRST, *MORE])]
        made.append((world.write([(1, None, None, True)], mode="merge"), [*FIRST[1:], *MORE]))
        made.append((world.write(MORE, mode="replace"), MORE))
        assert [v.facts["delta_version"] for v, _ in made] == [0, 1, 2, 3]
        for version, rows in made:
            assert at(world, version.facts["delta_version"]) == as_set(rows)

    def test_files_that_stay_are_not_written_again(self, world: DeltaWorld) -> None:
        first = world.write(FIRST)
        world.write(MORE)
        (kept,) = (p.locator for p in world.parts(first))
        log = world.store.files.log(world.location)
        assert kept.rpartition("/")[2] in log.files

    def test_the_log_says_who_wrote(self, world: DeltaWorld) -> None:
        version = world.write(FIRST)
        (commit,) = world.store.files.log(world.location).commits()
        assert (commit.fact, commit.asset) == (version.fact_key, "rides")

    def test_readers_can_skip_files(self, world: DeltaWorld) -> None:
        import json
        from pathlib import Path

        world.write(FIRST)
        lines = (Path(world.location) / "_delta_log" / f"{0:020}.json").read_text().splitlines()
        added = next(json.loads(line)["add"] for line in lines if "add" in json.loads(line))
        assert json.loads(added["stats"]) == {
            "numRecords": 3,
            "nullCount": {"id": 0, "kind": 1, "km": 1},
            "minValues": {"id": 1},
            "maxValues": {"id": 3},
        }

    def test_rollback_of_columns_restores_a_commit(self, world: DeltaWorld) -> None:
        world.write(FIRST)
        world.write([(4, "a", 1.0, "n")], columns=(*COLUMNS, Column("note", "text")))
        done = roll_back(
            ledger=world.ledger,
            store=world.store,
            identity=identity("back"),
            place=world.place,
            to="rides@1",
            reason="a column too many",
        )
        assert (done.version.ref, world.seen()) == ("rides@1", as_set(FIRST))
        assert commits(world)[-1][1] == "RESTORE"

    def test_rollback_keeps_a_constraint_that_came_since(self, world: DeltaWorld) -> None:
        first = world.write(FIRST)
        world.write([(4, "a", 1.0, "n")], columns=(*COLUMNS, Column("note", "text")))
        add_constraint(world.store.files.log(world.location), name="some", condition="id > 0")
        world.roll_back(first)
        assert world.seen() == as_set(FIRST)
        assert world.store.files.log(world.location).constraints == {"some": "id > 0"}

    def test_a_dataset_does_not_move_by_itself(self, world: DeltaWorld, tmp_path: Path) -> None:
        world.write(FIRST)
        world.location = str(tmp_path / "elsewhere")
        with pytest.raises(SpecError, match="mode='replace' to move the dataset"):
            world.write(MORE)
        world.write(MORE, mode="replace")
        assert world.seen() == as_set(MORE)

    @pytest.mark.parametrize("scheme", ["", "file://", "fs://"], ids=["path", "file", "another file system"])
    def test_any_uri_that_deltalake_reads(self, world: DeltaWorld, tmp_path: Path, scheme: str) -> None:
        folder = tmp_path / ("Größe und mehr" if not scheme else "plain")
        world.location = f"{scheme}{folder}/rides/"
        world.write(FIRST)
        world.write([(1, "x", 1.0, None)], mode="merge")
        world.compact()
        assert world.seen() == as_set([(1, "x", 1.0), *FIRST[1:]])
        assert world.store.drop(world.parts(world.ledger.versions.find("rides@1"))) > 0

    def test_a_relative_path_is_another_place_everywhere(self, world: DeltaWorld) -> None:
        world.location = "lake/rides"
        with pytest.raises(SpecError, match="'lake/rides' is not usable: write an absolute path"):
            world.write(FIRST)

    def test_rows_of_another_partition_are_refused(self, world: DeltaWorld) -> None:
        world.layout = Layout(partition_column="kind")
        with pytest.raises(SpecError, match="for partition key 'bike' has rows with kind = 'car'"):
            world.write([(1, "bike", 1.0), (2, "car", 1.0)], mode="partition", key="bike")
        world.write([(1, "bike", 1.0)], mode="partition", key="bike")
        assert world.seen() == as_set([(1, "bike", 1.0)])

    def test_a_day_is_a_partition_key(self, world: DeltaWorld) -> None:
        world.layout = Layout(partition_column="day")
        columns = (Column("id", "integer"), Column("day", "date"))
        world.write([(1, date(2013, 1, 1))], mode="partition", key="2013-01-01", columns=columns)
        with pytest.raises(SpecError, match="has rows with day"):
            world.write([(1, date(2013, 1, 1))], mode="partition", key="2013-01-02", columns=columns)


class TestCrashes:
    def test_the_first_publication_is_finished_by_its_retry(self, world: DeltaWorld) -> None:
        staged = world.stage(FIRST)
        world.publish_and_break(staged, run="r")
        version = world.publish(staged, run="r")
        assert commits(world) == [(0, "CREATE TABLE")]
        assert (version.facts["delta_version"], world.seen()) == (0, as_set(FIRST))

    def test_the_first_publication_is_replaced_by_the_next(self, world: DeltaWorld) -> None:
        world.publish_and_break(world.stage(FIRST))
        version = world.write(MORE)
        assert world.seen() == world.scan(version) == as_set(MORE)

    @pytest.mark.parametrize("mode", ["append", "replace", "merge"])
    def test_a_retry_finds_its_commit(self, world: DeltaWorld, mode: Any) -> None:
        world.write(FIRST)
        rows = [(*row, None) for row in MORE] if mode == "merge" else MORE
        staged = world.stage(rows, mode=mode)
        world.publish_and_break(staged, run="r")
        before = commits(world)
        version = world.publish(staged, run="r")
        assert commits(world) == before
        assert (version.facts["delta_version"], world.seen()) == (1, world.scan(version))

    def test_a_retry_finds_files_that_were_written_anew(self, world: DeltaWorld) -> None:
        world.write([(1, "a", 1.0)])
        staged = world.stage([(1 << 40, "b", 2.0)], columns=(Column("id", "bigint"), *COLUMNS[1:]))
        world.publish_and_break(staged, run="r")
        before = commits(world)
        version = world.publish(staged, run="r")
        assert commits(world) == before
        assert world.seen() == world.scan(version) == as_set([(1, "a", 1.0), (1 << 40, "b", 2.0)])

    def test_between_a_new_column_and_its_rows(self, world: DeltaWorld) -> None:
        """The two commits of a new column: a crash after the first is a null column, and nothing more."""
        world.write(FIRST)
        wide = (*COLUMNS, Column("note", "text"))
        staged = world.stage([(4, "a", 1.0, "n")], columns=wide)
        world.publish_and_break(staged, run="r")
        assert commits(world)[1:] == [(1, "ADD COLUMN"), (2, "WRITE")]
        assert at(world, 1) == as_set((*row, None) for row in FIRST)
        world.publish(staged, run="r")
        assert len(commits(world)) == 3

    def test_a_batch_in_the_scratchpad_leaves_nothing_there(self, world: DeltaWorld) -> None:
        world.write(FIRST)
        world.write([(1, "x", 1.0, None)], mode="merge")
        with pytest.raises(SpecError, match="column 'v' is numeric, which a Delta table has no place for"):
            world.write([(1,)], columns=(Column("v", "numeric"),))
        left = world.ledger.connection.scalar(
            "SELECT count(*) FROM pg_class WHERE relnamespace = 'dataml_data'::regnamespace"
        )
        assert left == 0


class TestOthers:
    """Writers that know nothing of the ledger."""

    def test_rows_of_others_are_not_overwritten(self, world: DeltaWorld) -> None:
        world.write(FIRST)
        write_foreign(world, [(77, "theirs", 0.0)])
        with pytest.raises(StaleVersionError, match=r"somebody else wrote version 1 .* \(WRITE\)"):
            world.write(MORE)
        assert world.seen() == as_set([*FIRST, (77, "theirs", 0.0)])

    def test_they_are_taken_back(self, world: DeltaWorld) -> None:
        version = world.write(FIRST)
        write_foreign(world, [(77, "theirs", 0.0)])
        discard(world.store, place=world.place, columns=COLUMNS, parts=world.parts(version))
        assert world.seen() == as_set(FIRST)
        world.write(MORE)
        assert world.seen() == as_set([*FIRST, *MORE])

    @pytest.mark.parametrize(
        ("given", "left"),
        [
            pytest.param({}, [*FIRST, (77, "theirs", 0.0)], id="append"),
            pytest.param({"mode": "overwrite"}, [(77, "theirs", 0.0)], id="overwrite"),
        ],
    )
    def test_they_are_taken_over(self, world: DeltaWorld, given: dict[str, Any], left: list[Any]) -> None:
        world.write(FIRST)
        write_foreign(world, [(77, "theirs", 0.0)], **given)
        parts = world.parts(world.ledger.versions.find("rides"))
        adopting = AdoptingStore(Scratch(world.ledger.store, world.ledger.warehouse))
        world.store, ours = adopting, world.store
        version = world.move("append", parts, adopting.columns(world.place, COLUMNS))
        world.store = ours
        assert world.seen() == world.scan(version) == as_set(left)
        world.write([(77, "ours", 1.0, None)], mode="merge")
        assert (77, "ours", "1.0") in world.seen()
        assert world.write(left, mode="replace").fingerprint == version.fingerprint

    def test_a_partitioned_table_is_not_taken_over(self, world: DeltaWorld) -> None:
        write_foreign(world, FIRST, partition_by=["kind"])
        adopting = AdoptingStore(Scratch(world.ledger.store, world.ledger.warehouse))
        with pytest.raises(SpecError, match="it cannot be taken over"):
            adopting.columns(world.place, COLUMNS)

    def test_optimizing_is_no_writing(self, world: DeltaWorld) -> None:
        from deltalake import DeltaTable

        old = world.write(FIRST)
        world.write(MORE)
        DeltaTable(world.location).optimize.compact()
        version = world.write([(6, "new", 6.0)])
        assert world.seen() == world.scan(version) == as_set([*FIRST, *MORE, (6, "new", 6.0)])
        assert world.scan(old) == as_set(FIRST)

    def test_their_vacuum_leaves_old_versions(self, world: DeltaWorld) -> None:
        from deltalake import DeltaTable

        old = world.write(FIRST)
        world.write(MORE, mode="replace")
        assert DeltaTable(world.location).vacuum(dry_run=False, full=True) == []
        assert world.scan(old) == as_set(FIRST)

    def test_a_commit_in_between_refuses_ours(self, world: DeltaWorld) -> None:
        world.write(FIRST)
        log = world.store.files.log(world.location)
        write_foreign(world, [(77, "theirs", 0.0)])
        with pytest.raises(StaleVersionError, match="another writer committed"):
            log.commit(columns=COLUMNS, adds={}, removes={}, mark={})

    def test_a_file_that_is_gone_is_named(self, world: DeltaWorld) -> None:
        old = world.write(FIRST)
        world.write(MORE, mode="replace")
        world.store.drop(world.parts(old))
        with pytest.raises(NotFoundError, match="is gone, though a version of the ledger needs it"):
            world.roll_back(old)
        assert world.seen() == as_set(MORE)


class TestChangeFeed:
    def feed(self, world: DeltaWorld, after: int, until: int, **given: Any) -> list[tuple[Any, ...]]:
        tables = changes(world.store.files.log(world.location), after=after, until=until, **given)
        rows = [tuple(row.values()) for table in tables for row in table.to_pylist()]
        return sorted(rows, key=lambda row: (row[-1], row[-2], row[0]))

    def test_a_merge_shows_what_it_changed_alone(self, world: DeltaWorld) -> None:
        world.write(FIRST)
        world.write(
            [(1, "x", 1.0, None), (2, None, None, True), (9, "new", float("nan"), None)], mode="merge"
        )
        assert self.feed(world, 0, 1)[:-1] == [
            (1, "bike", 2.5, "delete", 1),
            (2, "car", None, "delete", 1),
            (1, "x", 1.0, "insert", 1),
        ]

    def test_with_keys_an_update_is_one(self, world: DeltaWorld) -> None:
        world.write([*FIRST, (5, "same", 5.0)])
        world.write([(1, "x", 1.0, None)], mode="merge")
        assert self.feed(world, 0, 1, keys=["id"]) == [
            (1, "x", 1.0, "update_postimage", 1),
            (1, "bike", 2.5, "update_preimage", 1),
        ]
        with pytest.raises(SpecError, match="nr to tell rows apart by is no column"):
            self.feed(world, 0, 1, keys=["nr"])

    def test_a_compaction_changes_nothing(self, world: DeltaWorld) -> None:
        world.write(FIRST)
        world.write(MORE)
        world.compact()
        assert [row[-2:] for row in self.feed(world, 0, 2)] == [("insert", 1), ("insert", 1)]


class TestConstraints:
    def test_a_batch_that_breaks_one_is_not_staged(self, world: DeltaWorld) -> None:
        world.write(FIRST)
        add_constraint(
            world.store.files.log(world.location), name="positive", condition="km IS NULL OR km > 0"
        )
        world.write(MORE)
        with pytest.raises(GateError, match=r"breaks a constraint .*positive: km IS NULL OR km > 0"):
            world.stage([(6, "x", -1.0)])

    def test_one_that_came_after_staging_is_met_too(self, world: DeltaWorld) -> None:
        world.write(FIRST)
        good, bad = world.stage(MORE), world.stage([(6, "x", -1.0)])
        add_constraint(
            world.store.files.log(world.location), name="positive", condition="km IS NULL OR km > 0"
        )
        world.publish(good)
        with pytest.raises(GateError, match="breaks a constraint"):
            world.publish(bad)
        assert world.seen() == as_set([*FIRST, *MORE])

    @pytest.mark.parametrize(
        "condition", ["km > 3", "no_such > 1", "km >"], ids=["broken", "unknown", "no SQL"]
    )
    def test_one_that_cannot_be_is_refused(self, world: DeltaWorld, condition: str) -> None:
        world.write(FIRST)
        with pytest.raises(SpecError, match="cannot be put on the Delta table"):
            add_constraint(world.store.files.log(world.location), name="c", condition=condition)


class TestKeeping:
    def test_vacuum_keeps_what_versions_and_staged_batches_need(self, world: DeltaWorld) -> None:
        old = world.write(FIRST)
        lost = world.stage(MORE, mode="replace")
        world.publish_and_break(lost)
        new = world.write([(6, "x", 6.0)], mode="replace")
        write_foreign(world, [(77, "theirs", 0.0)])
        discard(world.store, place=world.place, columns=COLUMNS, parts=world.parts(new))
        folder = world.store.files.folder(world.location)
        given = {"keep": {0, 2}, "known": set(world.ledger.retention.locators("delta"))}
        planned = vacuum(world.store.files.log(world.location), folder, dry_run=True, **given)
        assert len(planned) == 1
        assert vacuum(world.store.files.log(world.location), folder, dry_run=False, **given) == planned
        assert vacuum(world.store.files.log(world.location), folder, dry_run=False, **given) == {}
        assert (world.scan(old), world.scan(new)) == (as_set(FIRST), as_set([(6, "x", 6.0)]))
        world.publish(lost)
        assert world.seen() == as_set(MORE)

    def test_retention_spares_what_is_pinned(self, world: DeltaWorld) -> None:
        pinned, gone = world.write(FIRST, mode="replace"), world.write(MORE, mode="replace")
        world.write([(6, "x", 6.0)], mode="replace")
        world.ledger.versions.pin(pinned.version_id, holder="model@1", reason="trained on it")
        plan = collect(
            ledger=world.ledger,
            store=world.store,
            identity=identity("collect"),
            asset="rides",
            policy=RetentionPolicy(keep_last=1),
        )
        assert plan.collected == (2,)
        assert world.scan(pinned) == as_set(FIRST)
        with pytest.raises(NotFoundError):
            world.scan(gone)

    def test_what_a_killed_task_left_is_swept(self, world: DeltaWorld) -> None:
        world.write(FIRST)
        folder = world.store.files.folder(world.location)
        folder.write("dataml-0123456789abcdef.parquet", COLUMNS, [])
        young = delta_store(world.ledger)
        assert sweep(ledger=world.ledger, store=young, identity=identity("young")).strays == {}
        swept = sweep(ledger=world.ledger, store=world.store, identity=identity("sweep"))
        assert list(swept.strays) == [f"{world.location}/dataml-0123456789abcdef.parquet"]
        assert len(folder.ours()) == 1

    def test_what_readers_see_is_not_dropped(self, world: DeltaWorld) -> None:
        version = world.write(FIRST)
        with pytest.raises(ConflictError, match=r"see dataml-[0-9a-f]{16}\.parquet"):
            world.store.drop(world.parts(version))

    @pytest.mark.parametrize(("most", "passed"), [(3, True), (2, False)], ids=["passes", "fails"])
    def test_every_engine_can_look_at_it(self, world: DeltaWorld, most: int, *, passed: bool) -> None:
        from airflow_dataml.adapters.soda.engine import SodaEngine

        staged = world.stage(FIRST)
        contract = Contract.from_text(
            f"dataset: w/demo/public/rides\ncolumns: [{{name: id}}, {{name: kind}}, {{name: km}}]\n"
            f"checks: [row_count: {{threshold: {{must_be_less_than_or_equal: {most}, level: warn}}}}]\n"
        )
        report = verify_part(
            ledger=world.ledger,
            warehouse=world.ledger.warehouse,
            store=world.store,
            engine=SodaEngine(),
            identity=identity("verify"),
            staged=staged,
            contract=contract,
        )
        assert report.verdict == ("pass" if passed else "warn")


class TestTypes:
    @pytest.mark.parametrize(
        "type_",
        ["numeric", "numeric(39,0)", "integer[]", "point", "int4range"],
    )
    def test_a_type_without_a_place_is_named(self, type_: str) -> None:
        with pytest.raises(SpecError, match=r"column 'v' is .*, which a Delta table has no place for"):
            arrow_type(Column("v", type_))

    def test_a_value_without_a_place_is_refused(self, world: DeltaWorld) -> None:
        columns = (Column("v", "numeric(10,2)"),)
        with pytest.raises(GateError, match="column 'v' holds a value that a Delta table has no place for"):
            world.write([("NaN",)], columns=columns)

    def test_what_is_kept_as_text_stays_what_it_is(self, world: DeltaWorld) -> None:
        key = uuid.UUID(int=7)
        columns = (
            Column("id", "uuid"),
            Column("doc", "jsonb"),
            Column("took", "interval"),
            Column("host", "inet"),
        )
        version = world.write([(key, '{"a": 1}', "1 day 02:00:00", "10.0.0.0/8")], columns=columns)
        assert world.outside() == [
            {"id": str(key), "doc": '{"a": 1}', "took": "1 day 02:00:00", "host": "10.0.0.0/8"}
        ]
        with world.store.inspect(name="look", columns=columns, parts=world.parts(version)) as relation:
            row = world.ledger.connection.row(f"SELECT id, doc ->> 'a' AS a, host FROM {relation.quoted}")
        assert (row["id"], row["a"]) == (key, "1")
        merged = world.write([(key, '{"a":1}', "26:00", "10.0.0.0/8")], columns=columns, mode="replace")
        assert (
            world.store.compare(
                columns=columns, keys=["id"], old=world.parts(version), new=world.parts(merged)
            ).updated
            == 0
        )

    def test_other_kinds_of_arrow_are_read(self, world: DeltaWorld) -> None:
        import pyarrow

        from airflow_dataml.core.stores import Arrow

        table = pyarrow.table(
            {
                "code": pyarrow.array(["a", "b", "a"]).dictionary_encode(),
                "at": pyarrow.array([0, 1, None], pyarrow.timestamp("ns", tz="Europe/Berlin")),
                "n": pyarrow.array([1, None, 255], pyarrow.uint8()),
            }
        )
        world.write(Arrow(table))
        start = datetime(1970, 1, 1, tzinfo=UTC)
        assert world.seen() == as_set([("a", start, 1), ("b", start, None), ("a", None, 255)])


class TestMergeCandidates:
    def touches(self, type_: str, part_type: str, held: list[Any], keys: list[Any]) -> bool:
        import pyarrow

        column, own = Column("k", type_), Column("k", part_type)
        part = Part(1, "rides", "x", (own,), Fingerprint(len(held)))
        batches = [pyarrow.record_batch({"k": pyarrow.array(held, arrow_type(own))})]
        values = values_of([column], [pyarrow.record_batch({"k": pyarrow.array(keys, arrow_type(column))})])
        return may_touch(part, {"k": (type_, values["k"])}, lambda _: iter(batches))

    @pytest.mark.parametrize(
        ("type_", "part_type", "held", "keys", "touched"),
        [
            pytest.param("integer", "integer", [1, 2], [2], True, id="hit"),
            pytest.param("integer", "integer", [1, 2], [3], False, id="miss"),
            pytest.param("bigint", "integer", [1, 2], [2], True, id="wider"),
            pytest.param("bigint", "smallint", [0], [1 << 40], True, id="too wide, so read"),
            pytest.param("text", "text", ["a"], ["b"], False, id="text"),
            pytest.param("character(3)", "character(3)", ["a"], ["b"], True, id="blanks, so read"),
            pytest.param("double precision", "double precision", [0.0], [1.0], True, id="float, so read"),
            pytest.param("date", "date", [date(2013, 1, 1)], [date(2013, 1, 2)], False, id="date"),
            pytest.param("uuid", "uuid", ["a"], ["a"], True, id="uuid"),
        ],
    )
    def test_none_is_missed(
        self, type_: str, part_type: str, held: list[Any], keys: list[Any], *, touched: bool
    ) -> None:
        assert self.touches(type_, part_type, held, keys) is touched

    def test_a_part_without_the_key_is_apart(self) -> None:
        part = Part(1, "rides", "x", (Column("other", "text"),), Fingerprint(1))
        assert not may_touch(part, {"k": ("integer", None)}, lambda _: iter(()))


class TestBoundary:
    OPTIONS: ClassVar = {
        "aws_access_key_id": "AKIA-VISIBLE",
        "aws_secret_access_key": "hunter2",
        "aws_endpoint": "http://127.0.0.1:9/hunter2",
        "aws_region": "x",
        "max_retries": "0",
        "timeout": "2s",
    }

    def test_secrets_are_not_repeated(self, world: DeltaWorld) -> None:
        store = delta_store(world.ledger, self.OPTIONS)
        assert "hunter2" not in repr(store)
        with pytest.raises(WarehouseError) as caught:
            store.files.log("s3://bucket/rides")
        assert "s3://bucket/rides" in str(caught.value)
        assert "hunter2" not in str(caught.value)
        assert "AKIA-VISIBLE" not in str(caught.value)

    def test_options_are_not_in_the_ledger(self, world: DeltaWorld) -> None:
        world.store = delta_store(world.ledger, {"some_secret": "hunter2"})
        world.write(FIRST)
        found = world.ledger.connection.scalar(
            "SELECT count(*) FROM dataml.version v, dataml.part p WHERE v::text || p::text LIKE '%hunter2%'"
        )
        assert found == 0

    def test_no_table_is_nothing_to_close(self, world: DeltaWorld) -> None:
        world.store.close(place=world.place)
        assert DeltaLog.open(world.location, {}) is None

    def test_a_commit_the_log_does_not_reach(self, world: DeltaWorld) -> None:
        world.write(FIRST)
        with pytest.raises((NotFoundError, WarehouseError)):
            world.store.files.log(world.location).at(99)

    def test_the_extra_is_named(self, world: DeltaWorld, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "deltalake", None)
        with pytest.raises(MissingExtraError, match=r"airflow-dataml\[delta\]"):
            world.store.switch(place=world.place, change=Change("append", "x"), columns=COLUMNS, parts=[])
