"""What every store of managed datasets does alike.

Gaps of one store are marked where they are: ``never`` what it has no place for, with the reason.
"""

from __future__ import annotations

import itertools
import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from airflow_dataml.adapters.delta import delta_store
from airflow_dataml.adapters.delta.scratch import Scratch
from airflow_dataml.adapters.delta.store import DeltaStore
from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.adapters.postgres.migrate import migrate
from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import DataMLError, GateError, QualityGateError, SpecError, StaleVersionError
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.stores import Arrow, MergeSpec, Rows
from airflow_dataml.steps.ingest import Target, stage_csv, stage_query
from airflow_dataml.testing_store import InMemoryStore
from dev.embedded import ensure_database
from tests.ports.store_world import (
    COLUMNS,
    DeltaWorld,
    MemoryWorld,
    PostgresWorld,
    World,
    as_set,
)
from tests.support import identity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_dataml.core.datasets import Version

pytestmark = pytest.mark.integration
_NUMBERS = itertools.count()
STORES = ("memory", "postgres", "delta")
FIRST = [(1, "bike", 2.5), (2, "car", None), (3, None, 7.0)]
MORE = [(4, "bike", 1.0), (5, "tram", 2.0)]


@pytest.fixture(scope="module")
def template(postgres_server: str) -> Iterator[str]:
    """A database with a migrated ledger, of which every test gets a copy."""
    with Connection(ensure_database(postgres_server, "ledger_template")) as connection:
        migrate(connection)
    yield "ledger_template"
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute("DROP DATABASE ledger_template WITH (FORCE)")


@pytest.fixture
def postgres_dsn(postgres_server: str, template: str) -> Iterator[str]:
    """A fresh ledger; dropped afterwards."""
    name = f"store_{next(_NUMBERS)}"
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield make_conninfo(postgres_server, dbname=name)
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def ledger(postgres_dsn: str) -> Iterator[PostgresLedger]:
    with PostgresLedger.connect(postgres_dsn) as opened:
        yield opened


@pytest.fixture(params=STORES)
def world(request: pytest.FixtureRequest, ledger: PostgresLedger, postgres_dsn: str, tmp_path: Path) -> World:
    """The dataset in each store in turn; a new store is one line here and one class in ``store_world``."""
    for gap in request.node.iter_markers("never"):
        if request.param == gap.args[0]:
            request.applymarker(
                pytest.mark.xfail(reason=gap.kwargs["reason"], raises=gap.kwargs["raises"], strict=True)
            )
    if request.param == "memory":
        return MemoryWorld(ledger, InMemoryStore(scratch=ledger.store), postgres_dsn, "public.rides")
    if request.param == "postgres":
        return PostgresWorld(ledger, ledger.store, postgres_dsn, "public.rides")
    store = DeltaStore(Scratch(ledger.store, ledger.warehouse), stray_age=timedelta(0))
    return DeltaWorld(ledger, store, postgres_dsn, str(tmp_path / "lake" / "rides"))


class TestStage:
    def test_staged_rows_are_seen_by_nobody(self, world: World) -> None:
        staged = world.stage(FIRST)
        assert world.nothing_there()
        world.publish(staged)
        world.stage(MORE)
        assert world.seen() == as_set(FIRST)

    def test_a_part_says_what_it_holds(self, world: World) -> None:
        part = world.ledger.versions.part(world.stage(FIRST).part_id)
        assert (part.store, part.columns, part.rows, part.bytes) == (world.store.name, COLUMNS, 3, part.bytes)
        assert part.profile["rows"] == 3
        assert part.profile["columns"]["km"]["nulls"] == 1
        assert (part.profile["columns"]["id"]["min"], part.profile["columns"]["id"]["max"]) == (1, 3)

    def test_rows_come_from_a_file(self, world: World, tmp_path: Path) -> None:
        path = tmp_path / "batch.csv"
        path.write_text('km,id,kind\n2.5,1,"a ""b"", c"\n,2,""\n7,3,\n')
        staged = stage_csv(
            ledger=world.ledger,
            store=world.store,
            identity=identity("stage"),
            target=Target("rides", "append", location=world.location),
            path=path,
            columns=COLUMNS,
        )
        world.publish(staged)
        assert world.seen() == as_set([(1, 'a "b", c', 2.5), (2, "", None), (3, None, 7.0)])

    def test_a_value_of_another_type_is_refused(self, world: World, tmp_path: Path) -> None:
        path = tmp_path / "batch.csv"
        path.write_text("id,kind,km\none,bike,1\n")
        with pytest.raises(GateError, match="invalid input syntax for type integer"):
            stage_csv(
                ledger=world.ledger,
                store=world.store,
                identity=identity("stage"),
                target=Target("rides", "append", location=world.location),
                path=path,
                columns=COLUMNS,
            )

    def test_rows_come_from_arrow(self, world: World) -> None:
        import pyarrow

        table = pyarrow.table(
            {"id": pyarrow.array([1, 2], pyarrow.int32()), "kind": ["bike", None], "km": [2.5, None]}
        )
        world.write(Arrow(table.to_reader(max_chunksize=1), COLUMNS))
        assert world.seen() == as_set([(1, "bike", 2.5), (2, None, None)])

    @pytest.mark.never("memory", raises=SpecError, reason="rows in memory know no SQL")
    def test_rows_come_from_a_query_over_an_exact_version(self, world: World) -> None:
        world.write(FIRST)
        world.write(MORE)
        staged = stage_query(
            ledger=world.ledger,
            store=world.store,
            identity=identity("stage"),
            target=Target("rides", "replace", location=world.location),
            query="SELECT id * 10 AS id, kind, km FROM old WHERE id < %(most)s",
            inputs={"old": "rides@1"},
            parameters={"most": 3},
        )
        world.publish(staged)
        assert world.seen() == as_set([(10, "bike", 2.5), (20, "car", None)])

    def test_no_row_is_refused(self, world: World) -> None:
        with pytest.raises(QualityGateError, match="has no row"):
            world.stage(Rows(COLUMNS, []))

    def test_keys_of_the_layout_are_unique_in_a_batch(self, world: World) -> None:
        world.layout = Layout(keys=("id",))
        with pytest.raises(GateError):
            world.stage([*FIRST, (1, "again", 1.0)])

    def test_a_retry_adopts_the_part(self, world: World) -> None:
        assert world.stage(FIRST, run="r") == world.stage(FIRST, run="r")
        assert world.ledger.connection.scalar("SELECT count(*) FROM dataml.part") == 1


class TestModes:
    def test_append(self, world: World) -> None:
        world.write(FIRST)
        second = world.write(MORE)
        assert world.seen() == world.scan(second) == as_set([*FIRST, *MORE])
        assert len(world.parts(second)) == 2

    def test_replace(self, world: World) -> None:
        world.write(FIRST)
        world.write(MORE, mode="replace")
        assert world.seen() == as_set(MORE)

    def test_partition(self, world: World) -> None:
        world.write(FIRST, mode="partition", key="mon")
        world.write(MORE, mode="partition", key="tue")
        again = [(1, "bike", 3.0)]
        version = world.write(again, mode="partition", key="mon")
        assert world.seen() == as_set([*again, *MORE])
        assert sorted(p.partition_key or "" for p in world.parts(version)) == ["mon", "tue"]

    def test_merge(self, world: World) -> None:
        world.write(FIRST)
        world.write(MORE)
        version = world.write(
            [(1, "boat", 9.0, None), (2, None, None, True), (6, "new", 6.0, False), (77, "x", 0.0, True)],
            mode="merge",
        )
        expected = [(1, "boat", 9.0), (3, None, 7.0), (4, "bike", 1.0), (5, "tram", 2.0), (6, "new", 6.0)]
        assert world.seen() == world.scan(version) == as_set(expected)

    def test_a_merge_leaves_untouched_parts_alone(self, world: World) -> None:
        first = world.write(FIRST)
        world.write(MORE)
        version = world.write([(5, "tram", 3.0, None)], mode="merge")
        assert {p.part_id for p in world.parts(first)} <= {p.part_id for p in world.parts(version)}

    def test_a_merge_by_several_keys(self, world: World) -> None:
        world.write([(1, "a", 1.0), (1, "b", 2.0), (2, "a", 3.0)])
        world.write([(1, "b", 9.0), (2, "b", 8.0)], mode="merge", merge=MergeSpec(("id", "kind")))
        assert world.seen() == as_set([(1, "a", 1.0), (1, "b", 9.0), (2, "a", 3.0), (2, "b", 8.0)])

    def test_a_merge_into_nothing_inserts(self, world: World) -> None:
        world.write([(1, "a", 1.0, None), (2, "b", 2.0, True)], mode="merge")
        assert world.seen() == as_set([(1, "a", 1.0)])

    def test_a_merge_may_delete_everything(self, world: World) -> None:
        world.write(FIRST)
        version = world.write([(n, None, None, True) for n in (1, 2, 3)], mode="merge")
        assert (world.seen(), version.rows) == (as_set([]), 0)
        world.write(MORE)
        assert world.seen() == as_set(MORE)

    @pytest.mark.parametrize(
        ("rows", "words"),
        [
            pytest.param([(None, "a", 1.0, None)], "1 rows have a null key", id="null key"),
            pytest.param(
                [(1, "a", 1.0, None), (1, "b", 1.0, None)], "1 keys occur more than once", id="twice"
            ),
        ],
    )
    def test_a_key_that_names_no_row_is_refused(self, world: World, rows: list[Any], words: str) -> None:
        world.write(FIRST)
        with pytest.raises(GateError, match=words):
            world.stage(rows, mode="merge")
        assert world.seen() == as_set(FIRST)

    @pytest.mark.parametrize(
        ("merge", "words"),
        [
            pytest.param(MergeSpec(("nr",)), "no column 'nr' to merge by", id="no such key"),
            pytest.param(MergeSpec(("id",), "kind"), "delete flag 'kind' .* not boolean", id="no flag"),
        ],
    )
    def test_keys_and_flag_are_columns(self, world: World, merge: MergeSpec, words: str) -> None:
        world.write(FIRST)
        with pytest.raises(SpecError, match=words):
            world.stage([(1, "a", 1.0)], mode="merge", columns=COLUMNS, merge=merge)

    def test_a_merge_into_a_version_that_moved_is_stale(self, world: World) -> None:
        world.write(FIRST)
        staged = world.stage([(1, "boat", 9.0, None)], mode="merge")
        world.write(MORE)
        with pytest.raises(StaleVersionError, match="rides@2 is current now"):
            world.publish(staged)
        assert world.seen() == as_set([*FIRST, *MORE])

    def test_a_retried_publication_makes_no_second_version(self, world: World) -> None:
        staged = world.stage(FIRST)
        assert world.publish(staged, run="r").version_id == world.publish(staged, run="r").version_id
        assert world.ledger.connection.scalar("SELECT count(*) FROM dataml.version") == 1
        assert world.seen() == as_set(FIRST)

    def test_a_publication_that_broke_off_can_be_repeated(self, world: World) -> None:
        world.write(FIRST)
        staged = world.stage(MORE)
        world.publish_and_break(staged, run="r")
        world.publish(staged, run="r")
        assert world.seen() == as_set([*FIRST, *MORE])
        assert [v.number for v in world.ledger.versions.list("rides")] == [2, 1]

    def test_what_a_broken_publication_left_does_not_reach_the_next(self, world: World) -> None:
        world.write(FIRST)
        lost = world.stage(MORE)
        world.publish_and_break(lost)
        version = world.write([(9, "tram", 9.0)])
        assert world.seen() == world.scan(version) == as_set([*FIRST, (9, "tram", 9.0)])


class TestVersions:
    def history(self, world: World) -> list[tuple[Version, list[tuple[Any, ...]]]]:
        """Versions of every mode with what they hold."""
        made = [(world.write(FIRST), FIRST)]
        made.append((world.write(MORE), [*FIRST, *MORE]))
        made.append((world.write([(1, "x", 0.5, None), (4, None, None, True)], mode="merge"),
                     [(1, "x", 0.5), *FIRST[1:], *MORE[1:]]))  # fmt: skip
        made.append((world.write([(8, "p", 8.0)], mode="partition", key="k"), [*made[-1][1], (8, "p", 8.0)]))
        made.append((world.write([(9, "r", 9.0)], mode="replace"), [(9, "r", 9.0)]))
        return made

    def test_old_versions_stay_readable(self, world: World) -> None:
        for version, rows in self.history(world):
            assert world.scan(version) == as_set(rows), version.ref
            assert version.rows == len(rows)

    def test_rollback(self, world: World) -> None:
        made = self.history(world)
        for version, rows in made:
            back = world.roll_back(version)
            assert world.seen() == world.scan(back) == as_set(rows), version.ref
            assert back.fingerprint == version.fingerprint

    def test_compaction_keeps_content(self, world: World) -> None:
        world.write(FIRST)
        world.write(MORE)
        before = world.write([(6, None, None)])
        after = world.compact()
        assert world.seen() == world.scan(before) == world.scan(after)
        assert (after.fingerprint, len(world.parts(after))) == (before.fingerprint, 1)
        world.write([(1, "x", 1.0, None)], mode="merge")
        assert world.seen() == as_set([(1, "x", 1.0), *FIRST[1:], *MORE, (6, None, None)])

    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_any_sequence_equals_a_simple_model(self, world: World, seed: int) -> None:
        choose = random.Random(seed)  # noqa: S311 - no secret
        rows: dict[int, tuple[Any, ...]] = {}
        keys: dict[int, str | None] = {}
        made: list[tuple[Version, dict[int, Any], dict[int, Any]]] = []
        for step in range(9):
            mode = choose.choice(["append", "replace", "partition", "merge", "rollback", "compact"])
            if not made or mode in ("append", "replace", "partition"):
                mode = mode if mode in ("replace", "partition") else "append"
                key = choose.choice("ab") if mode == "partition" else None
                fresh = {100 * step + n: (100 * step + n, choose.choice("xyz"), None) for n in range(3)}
                gone = {n for n in rows if mode == "replace" or (key and keys[n] == key)}
                rows = {n: row for n, row in rows.items() if n not in gone} | fresh
                keys = {n: k for n, k in keys.items() if n in rows} | dict.fromkeys(fresh, key)
                version = world.write(list(fresh.values()), mode=mode, key=key)
            elif mode == "merge":
                known = choose.sample(sorted(rows), min(2, len(rows)))
                batch = [(n, "m", float(step), choose.random() < 0.5) for n in [*known, 1000 + step]]
                touched = {n for n, *_ in batch}
                stays = {n: (n, kind, km) for n, kind, km, flag in batch if not flag}
                rows = {n: row for n, row in rows.items() if n not in touched} | stays
                keys = {n: k for n, k in keys.items() if n in rows and n not in touched} | dict.fromkeys(
                    stays
                )
                version = world.write(batch, mode="merge")
            elif mode == "compact" and len(set(keys.values())) == 1:
                version = world.compact()
            else:
                back, rows, keys = choose.choice(made)
                version = world.roll_back(back)
            assert world.seen() == as_set(rows.values()), (mode, step)
            made.append((version, dict(rows), dict(keys)))
        assert all(world.scan(version) == as_set(then.values()) for version, then, _ in made)
        contents = {(v.fingerprint, tuple(sorted(then.items()))) for v, then, _ in made}
        assert len(contents) == len({mark for mark, _ in contents}) == len({rows for _, rows in contents})


class TestFingerprints:
    def marks(self, world: World, *batches: list[Any], **given: Any) -> str | None:
        world.write(batches[0], mode="replace")
        return [world.ledger.versions.find("rides"), *(world.write(b, **given) for b in batches[1:])][
            -1
        ].fingerprint

    def test_the_way_does_not_matter(self, world: World) -> None:
        rows = [*FIRST, *MORE]
        marks = {
            self.marks(world, rows),
            self.marks(world, rows[::-1]),
            self.marks(world, FIRST, MORE),
            self.marks(world, MORE, FIRST),
            self.marks(world, [*FIRST, (4, "old", 0.0), (6, "gone", 0.0)],
                       [(*row, None) for row in MORE] + [(6, None, None, True)], mode="merge"),
        }  # fmt: skip
        assert len(marks) == 1

    @pytest.mark.parametrize(
        "other",
        [
            pytest.param([(1, "a", 1.0), (2, "b", 2.0), (2, "b", 2.0)], id="a row twice"),
            pytest.param([(1, "a", 1.0)], id="a row less"),
            pytest.param([(1, "a", 1.0), (2, "b", 2.5)], id="a value"),
            pytest.param([(1, "b", 1.0), (2, "a", 2.0)], id="values that changed places"),
            pytest.param([(1, None, 1.0), (2, "b", 2.0)], id="a null"),
            pytest.param([(1, "", 1.0), (2, "b", 2.0)], id="an empty string"),
            pytest.param([(1, "a", float("nan")), (2, "b", 2.0)], id="not a number"),
        ],
    )
    def test_other_content_has_another_one(self, world: World, other: list[Any]) -> None:
        assert self.marks(world, [(1, "a", 1.0), (2, "b", 2.0)]) != self.marks(world, other)


class TestSchema:
    WIDE = (*COLUMNS, Column("note", "text"))

    def test_a_new_column_is_null_in_old_rows(self, world: World) -> None:
        first = world.write(FIRST)
        second = world.write([(4, "bike", 1.0, "n")], columns=self.WIDE)
        assert (
            world.seen()
            == world.scan(second)
            == as_set([*((*row, None) for row in FIRST), (4, "bike", 1.0, "n")])
        )
        assert second.facts["schema"]["class"] == "additive"
        assert world.scan(first) == as_set(FIRST)
        assert [c.name for c in world.ledger.versions.columns(second.version_id)] == [
            "id",
            "kind",
            "km",
            "note",
        ]

    def test_rollback_over_a_new_column(self, world: World) -> None:
        first = world.write(FIRST)
        second = world.write([(4, "bike", 1.0, "n")], columns=self.WIDE)
        world.roll_back(first)
        assert (world.seen(), set(world.outside()[0])) == (as_set(FIRST), {"id", "kind", "km"})
        world.roll_back(second)
        assert world.seen() == as_set([*((*row, None) for row in FIRST), (4, "bike", 1.0, "n")])

    def test_a_merge_with_a_new_column(self, world: World) -> None:
        world.write(FIRST)
        world.write([(1, "x", 1.0, "n")], columns=self.WIDE, mode="merge", merge=MergeSpec(("id",)))
        assert world.seen() == as_set([(1, "x", 1.0, "n"), *((*row, None) for row in FIRST[1:])])

    def test_a_wider_type(self, world: World) -> None:
        first = world.write([(1, "a", 1.0)])
        wide = (Column("id", "bigint"), *COLUMNS[1:])
        second = world.write([(1 << 40, "b", 2.0)], columns=wide)
        third = world.write([(3, "c", 3.0)])
        assert (
            world.seen() == world.scan(third) == as_set([(1, "a", 1.0), (1 << 40, "b", 2.0), (3, "c", 3.0)])
        )
        assert world.scan(first) == as_set([(1, "a", 1.0)])
        assert world.ledger.versions.columns(third.version_id) == wide
        assert second.facts["schema"]["class"] == "compatible"
        world.roll_back(first)
        assert world.seen() == as_set([(1, "a", 1.0)])

    def test_a_batch_staged_before_a_type_grew(self, world: World) -> None:
        world.write([(1, "a", 1.0)])
        staged = world.stage([(2, "b", 2.0)])
        world.write([(1 << 40, "c", 3.0)], columns=(Column("id", "bigint"), *COLUMNS[1:]))
        world.publish(staged)
        assert world.seen() == as_set([(1, "a", 1.0), (2, "b", 2.0), (1 << 40, "c", 3.0)])

    def test_a_missing_column_breaks_readers(self, world: World) -> None:
        world.write(FIRST)
        staged = world.stage([(4, "bike")], columns=COLUMNS[:2])
        with pytest.raises(QualityGateError, match="km double precision is gone"):
            world.publish(staged)
        version = world.publish(staged, allow_breaking=True)
        assert world.seen() == world.scan(version) == as_set([*(row[:2] for row in FIRST), (4, "bike")])

    def test_another_type_breaks_readers(self, world: World) -> None:
        world.write(FIRST)
        other = (Column("id", "text"), *COLUMNS[1:])
        staged = world.stage([("one", "bike", 1.0)], columns=other, mode="replace")
        with pytest.raises(QualityGateError, match="id was integer and is text"):
            world.publish(staged)
        world.publish(staged, allow_breaking=True)
        assert world.seen() == as_set([("one", "bike", 1.0)])

    def test_compaction_over_schemas(self, world: World) -> None:
        world.write(FIRST)
        world.write([(4, "bike", 1.0, "n")], columns=self.WIDE)
        before = world.seen()
        world.compact()
        assert world.seen() == before


class TestCompare:
    def test_by_keys(self, world: World) -> None:
        old = world.write(FIRST)
        world.write(MORE)
        new = world.write(
            [(1, "x", 2.5, None), (2, "y", 1.0, None), (5, None, None, True), (6, "n", 6.0, None)],
            mode="merge",
        )
        diff = world.store.compare(columns=COLUMNS, keys=["id"], old=world.parts(old), new=world.parts(new))
        assert (diff.inserted, diff.updated, diff.deleted) == (2, 2, 0)
        assert {c.column: c.changed for c in diff.columns} == {"kind": 2, "km": 1}

    def test_parts_both_share_are_not_read(self, world: World) -> None:
        old = world.write(FIRST)
        new = world.write(MORE)
        diff = world.store.compare(columns=COLUMNS, keys=["id"], old=world.parts(old), new=world.parts(new))
        assert (diff.inserted, diff.updated, diff.deleted, diff.shared_parts) == (2, 0, 0, 1)
        assert set(diff.read_parts).isdisjoint(p.part_id for p in world.parts(old))

    def test_without_keys(self, world: World) -> None:
        old = world.write([(1, "a", 1.0), (1, "a", 1.0), (2, "b", 2.0)])
        new = world.write([(1, "a", 1.0), (2, "c", 2.0)], mode="replace")
        diff = world.store.compare(columns=COLUMNS, keys=[], old=world.parts(old), new=world.parts(new))
        assert (diff.inserted, diff.updated, diff.deleted) == (1, 0, 2)

    def test_equal_content_in_other_parts(self, world: World) -> None:
        world.write(FIRST)
        old = world.write(MORE)
        new = world.write([*MORE, *FIRST], mode="replace")
        assert world.store.compare(
            columns=COLUMNS, keys=["id"], old=world.parts(old), new=world.parts(new)
        ).same


class TestKeeping:
    def test_inspection_shows_rows_to_sql(self, world: World) -> None:
        world.write(FIRST)
        version = world.write([(4, "bike", 1.0, "n")], columns=TestSchema.WIDE)
        parts, columns = world.parts(version), world.ledger.versions.columns(version.version_id)
        with world.store.inspect(name="look", columns=columns, parts=parts) as relation:
            found = world.ledger.connection.rows(f"SELECT id, note FROM {relation.quoted} ORDER BY id")
        assert [tuple(row.values()) for row in found] == [(1, None), (2, None), (3, None), (4, "n")]
        found = world.ledger.connection.scalar("SELECT to_regclass('dataml_data.look')::text")
        assert found is None

    def test_a_scan_stops_at_its_limit(self, world: World) -> None:
        version = world.write(FIRST)
        rows = world.store.scan(columns=COLUMNS, parts=world.parts(version), limit=2)
        assert len(list(rows)) == 2

    def test_a_scan_of_some_columns(self, world: World) -> None:
        version = world.write(FIRST)
        rows = world.store.scan(columns=[COLUMNS[2], Column("new", "text")], parts=world.parts(version))
        assert as_set(rows) == as_set([(2.5, None), (None, None), (7.0, None)])

    def test_a_part_is_profiled_anew(self, world: World) -> None:
        (part,) = world.parts(world.write(FIRST))
        profile = world.store.profile(part, {"km": (0.0, 100.0)})
        assert (profile["rows"], profile["columns"]["km"]["max"]) == (3, 7.0)

    def test_dropped_parts_are_gone_and_others_stay(self, world: World) -> None:
        old = world.write(FIRST)
        new = world.write(MORE, mode="replace")
        assert world.store.drop(world.parts(old)) > 0
        assert world.store.drop(world.parts(old)) == 0
        assert world.seen() == world.scan(new) == as_set(MORE)
        with pytest.raises(DataMLError):
            world.scan(old)

    def test_parts_that_readers_see_are_not_dropped(self, world: World) -> None:
        version = world.write(FIRST)
        with pytest.raises(DataMLError):
            world.store.drop(world.parts(version))
        assert world.seen() == as_set(FIRST)

    def test_what_nobody_knows_is_found_and_dropped(self, world: World) -> None:
        version = world.write(FIRST)
        forgotten = world.ledger.versions.part(world.stage(MORE).part_id)
        known = [p.locator for p in world.parts(version)]
        assert list(world.store.strays(known)) == [forgotten.locator]
        assert world.store.strays([*known, forgotten.locator]) == {}
        assert world.store.drop_strays([forgotten.locator]) == 1
        assert world.store.strays(known) == {}
        assert world.seen() == as_set(FIRST)

    def test_what_belongs_to_somebody_else_is_not_replaced(self, world: World) -> None:
        staged = world.stage(FIRST)
        world.occupy()
        with pytest.raises(SpecError, match="would be replaced"):
            world.publish(staged)

    def test_a_closed_place_is_empty_and_its_versions_stay(self, world: World) -> None:
        version = world.write(FIRST)
        world.store.close(place=world.place)
        assert world.nothing_there()
        assert world.scan(version) == as_set(FIRST)
        world.roll_back(version)
        assert world.seen() == as_set(FIRST)


HOSTILE = ('a"b', "a b", "select", "Größe", "semi;colon", "new\nline", "per%cent", "{curly}", "back\\slash",
           "it's", "dot.ted", "a,b", "%(id)s", "x" * 63, " ")  # fmt: skip


class TestNames:
    @pytest.mark.parametrize("name", HOSTILE, ids=[repr(name)[:20] for name in HOSTILE])
    def test_any_column_name(self, world: World, name: str) -> None:
        columns = (Column("id", "integer"), Column(name, "text"))
        world.write([(1, "a"), (2, None)], columns=columns)
        world.write([(2, "b"), (3, "c")], columns=columns, mode="merge", merge=MergeSpec(("id",)))
        version = world.write([("n", "k")], columns=(Column("new", "text"), Column(name, "text")), mode="merge",
                              merge=MergeSpec((name,)), allow_breaking=True)  # fmt: skip
        assert world.outside()[0].keys() == {name, "new"}
        assert {row[name] for row in world.outside()} == {"a", "b", "c", "k"}
        assert len(world.scan(version)) == 4

    def test_any_column_name_in_files_arrow_and_keys(self, world: World, tmp_path: Path) -> None:
        columns = tuple(Column(name, "text") for name in HOSTILE if name != "new\nline")
        import pyarrow

        table = pyarrow.table({c.name: ["1"] for c in columns})
        world.layout = Layout(keys=tuple(c.name for c in columns))
        first = world.write(Arrow(table, columns))
        second = world.write([tuple("2" for _ in columns)], columns=columns)
        diff = world.store.compare(
            columns=columns, keys=[c.name for c in columns], old=world.parts(first), new=world.parts(second)
        )
        assert (diff.inserted, diff.same) == (1, False)
        world.compact()
        assert len(world.outside()) == 2


LOCATIONS = {
    "memory": "anywhere; at 'all'",
    "postgres": '"my ""schema"" %s"."Größe; {}"',
    "delta": "Größe 'und' %s",
}


def test_any_location(world: World) -> None:
    name = LOCATIONS[world.store.name]
    world.location = name if "/" not in world.location else f"{world.location}/{name}"
    world.write(FIRST)
    version = world.write([(1, "x", 1.0, None)], mode="merge")
    assert world.seen() == world.scan(version) == as_set([(1, "x", 1.0), *FIRST[1:]])


VALUES: dict[str, list[Any]] = {
    "text": ["", " ", "a'b\"c\\d\te\nf\r\n", "Ünïcödé 🚲 \u202e", "NULL", "\\N", "\\.", "x" * 300_000, "%s", None],
    "double precision": [0.0, -0.0, float("nan"), float("inf"), float("-inf"), 1e308, 5e-324, 0.1, None],
    "bigint": [0, -(1 << 63), (1 << 63) - 1, 1 << 32, None],
    "smallint": [-32768, 32767, None],
    "numeric(20,0)": [Decimal(10) ** 20 - 1, Decimal(-1), Decimal(0), None],
    "numeric(38,10)": [Decimal("1234567890123456789012345678.0123456789"), Decimal("-0.0000000001"), None],
    "boolean": [True, False, None],
    "date": [date(1, 1, 1), date(2013, 2, 28), date(9999, 12, 31), None],
    "timestamp with time zone": [
        datetime(2013, 1, 1, 12, 30, 15, 123456, tzinfo=UTC), datetime(1900, 1, 1, tzinfo=UTC), None],
    "timestamp without time zone": [datetime(2013, 1, 1, 0, 0, 0, 1), datetime(1700, 1, 1), None],
    "bytea": [b"", bytes(range(256)), b"\\x00", None],
    "character varying(5)": ["abcde", "", None],
}  # fmt: skip


class TestValues:
    @pytest.mark.parametrize("type_", VALUES)
    def test_every_value_comes_back(self, world: World, type_: str) -> None:
        columns = (Column("id", "integer"), Column("v", type_))
        rows = list(enumerate(VALUES[type_]))
        version = world.write(rows, columns=columns)
        assert world.scan(version) == as_set(rows)
        assert world.seen() == as_set(rows)
        world.write([(n, v) for n, v in rows[:2]], columns=columns, mode="merge", merge=MergeSpec(("id",)))
        assert world.seen() == as_set(rows)
        assert world.ledger.versions.find("rides").fingerprint == version.fingerprint
        world.compact()
        assert world.seen() == as_set(rows)

    @pytest.mark.parametrize("type_", VALUES)
    def test_every_value_is_told_from_the_others(self, world: World, type_: str) -> None:
        columns = (Column("id", "integer"), Column("v", type_))
        found = {
            world.write([(1, value)], columns=columns, mode="replace").fingerprint for value in VALUES[type_]
        }
        assert len(found) == len(VALUES[type_]) - (type_ == "double precision")


def test_delta_and_postgres_have_the_same_fingerprints(
    ledger: PostgresLedger, postgres_dsn: str, tmp_path: Path
) -> None:
    columns = tuple(Column(f"c{n}", type_) for n, type_ in enumerate(VALUES))
    rows = list(zip(*(values[-3:] for values in VALUES.values()), strict=True))
    delta = DeltaWorld(ledger, delta_store(ledger), postgres_dsn, str(tmp_path / "rides"))
    one = delta.write(rows, columns=columns).fingerprint
    postgres = PostgresWorld(ledger, ledger.store, postgres_dsn, "public.rides", numbers=delta.numbers)
    assert postgres.write(rows, columns=columns, mode="replace").fingerprint == one
