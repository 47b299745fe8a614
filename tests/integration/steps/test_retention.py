"""Retention, compaction and sweeping on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_dataml.adapters.postgres.ledger import PostgresLedger as Ledger
from airflow_dataml.core.errors import SpecError, StaleVersionError, VersionNotFoundError
from airflow_dataml.core.layout import Index, Layout
from airflow_dataml.core.retention import CompactionPolicy, RetentionPolicy
from airflow_dataml.core.stores import MergeSpec, Query, Rows
from airflow_dataml.steps.branches import create_branch
from airflow_dataml.steps.compact import compact
from airflow_dataml.steps.ingest import Target, stage_source
from airflow_dataml.steps.read import reading
from airflow_dataml.steps.retain import collect, retention_of, sweep
from tests.integration.steps.rides import COLUMNS, Rides
from tests.support import identity

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import Version, WriteMode
    from airflow_dataml.core.retention import RetentionPlan

LAST = RetentionPolicy(keep_last=1, abandon_hours=0)


@pytest.fixture
def rides(ledger: PostgresLedger) -> Rides:
    return Rides(ledger, layout=Layout(indexes=(Index(columns=("id",)),)))


def gather(rides: Rides, policy: RetentionPolicy = LAST, run: str = "retain") -> RetentionPlan:
    return collect(
        ledger=rides.ledger,
        store=rides.ledger.store,
        identity=identity("retain", run),
        asset=rides.name,
        policy=policy,
    )


def join(rides: Rides, run: str = "compact") -> Version:
    return compact(
        ledger=rides.ledger,
        store=rides.ledger.store,
        identity=identity("compact", run),
        place=rides.place(),
        policy=CompactionPolicy(),
    )


def tables(rides: Rides) -> int:
    return int(
        rides.ledger.connection.scalar(
            "SELECT count(*) FROM pg_class WHERE relnamespace = 'dataml_data'::regnamespace AND relkind = 'r'"
        )
    )


def test_rows_nobody_holds_are_given_back(rides: Rides) -> None:
    rides.write([(1, "bike", 1.0)])
    rides.write([(2, "bike", 2.0)], mode="replace")
    plan = gather(rides)
    assert (plan.collected, tables(rides)) == ((1,), 1)
    assert plan.bytes_freed > 0
    assert rides.view() == [(2, "bike", 2.0)]
    assert rides.ledger.versions.find("rides@1").rows == 1


def test_a_plan_touches_nothing(rides: Rides) -> None:
    rides.write([(1, "bike", 1.0)])
    rides.write([(2, "bike", 2.0)], mode="replace")
    plan = retention_of(ledger=rides.ledger, asset="rides", policy=LAST)
    assert plan.collected == (1,)
    assert tables(rides) == 2


def test_shared_parts_stay(rides: Rides) -> None:
    rides.write([(1, "bike", 1.0)])
    rides.write([(2, "bike", 2.0)])
    assert gather(rides).parts == ()
    assert rides.view() == [(1, "bike", 1.0), (2, "bike", 2.0)]


def test_a_pinned_version_is_never_collected(rides: Rides) -> None:
    first = rides.write([(1, "bike", 1.0)])
    rides.write([(2, "bike", 2.0)], mode="replace")
    rides.ledger.versions.pin(first.version_id, holder="ride_late@1", reason="trained on")
    plan = gather(rides)
    assert plan.kept[1] == ("pinned by ride_late@1 (trained on)",)
    assert rides.read("rides@1") == [(1, "bike", 1.0)]


def test_a_batch_nobody_published_is_given_up_and_cannot_be_published_later(rides: Rides) -> None:
    rides.write([(1, "bike", 1.0)])
    staged = rides.stage([(2, "bike", 2.0)])
    assert gather(rides).abandoned == (staged.part_id,)
    with pytest.raises(StaleVersionError, match="were collected before they were published"):
        rides.publish(staged)


def test_a_batch_that_was_given_up_can_be_staged_again(rides: Rides) -> None:
    rides.write([(1, "bike", 1.0)])
    rides.stage([(2, "bus", 2.0)], run="late")
    gather(rides)
    rides.publish(rides.stage([(2, "bus", 2.0)], run="late"))
    assert [row[0] for row in rides.view()] == [1, 2]


def test_collecting_twice_is_collecting_once(rides: Rides) -> None:
    rides.write([(1, "bike", 1.0)])
    rides.write([(2, "bike", 2.0)], mode="replace")
    assert gather(rides).parts
    assert gather(rides, run="again").empty


def test_what_a_killed_collection_left_is_swept(rides: Rides) -> None:
    first = rides.write([(1, "bike", 1.0)])
    rides.write([(2, "bike", 2.0)], mode="replace")
    [part] = rides.ledger.versions.manifest(first.version_id)
    # As if killed after the ledger forgot the part and before its table was dropped.
    rides.ledger.versions.mark_parts([part.part_id], state="dropped")
    found = sweep(ledger=rides.ledger, store=rides.ledger.store, identity=identity("sweep"), dry_run=True)
    assert (list(found.strays), tables(rides)) == ([part.locator], 2)
    sweep(ledger=rides.ledger, store=rides.ledger.store, identity=identity("sweep"))
    assert tables(rides) == 1


def test_a_view_somebody_verifies_now_is_no_stray(rides: Rides) -> None:
    rides.write([(1, "bike", 1.0)])
    version = rides.write([(2, "bike", 2.0)])
    parts = rides.ledger.versions.manifest(version.version_id)
    with rides.ledger.store.inspect(name="verify_x", columns=parts[0].columns, parts=parts):
        assert rides.ledger.store.strays(rides.ledger.retention.locators("postgres")) == {}


class TestCompact:
    def test_the_content_stays(self, rides: Rides) -> None:
        for number in range(5):
            last = rides.write([(number, "bike", float(number))])
        version = join(rides)
        assert version.fingerprint == last.fingerprint
        assert len(rides.ledger.versions.manifest(version.version_id)) == 1
        assert rides.view() == rides.read(last.ref)

    def test_batches_stay_apart(self, rides: Rides) -> None:
        for number in range(4):
            rides.write([(number, "bike", 1.0)], key="a" if number < 2 else "b")
        version = join(rides)
        keys = [p.partition_key for p in rides.ledger.versions.manifest(version.version_id)]
        assert keys == ["a", "b"]

    def test_a_column_that_older_rows_lack_is_kept(self, rides: Rides) -> None:
        from airflow_dataml.core.datasets import Column
        from tests.integration.steps.rides import COLUMNS

        rides.write([(1, "bike", 1.0)])
        last = rides.write([(2, "bus", 2.0, "x")], columns=[*COLUMNS, Column("note", "text")])
        assert join(rides).fingerprint == last.fingerprint
        assert rides.view() == [(1, "bike", 1.0, None), (2, "bus", 2.0, "x")]

    def test_what_is_on_a_branch_alone_does_not_reach_everybody(self, rides: Rides) -> None:
        create_branch(
            ledger=rides.ledger, store=rides.ledger.store, identity=identity("b"), name="dev", assets=[]
        )
        rides.write([(1, "bike", 1.0)], branch="dev")
        rides.write([(2, "bus", 2.0)], branch="dev")
        with pytest.raises(VersionNotFoundError, match="'rides' has nothing published"):
            join(rides)

    def test_indexes_are_built(self, rides: Rides) -> None:
        for number in range(3):
            rides.write([(number, "bike", 1.0)])
        [part] = rides.ledger.versions.manifest(join(rides).version_id)
        found = rides.ledger.connection.rows(
            "SELECT indexname FROM pg_indexes WHERE schemaname = 'dataml_data' AND tablename = %s",
            [part.relation.name],
        )
        assert len(found) == 1

    def test_nothing_to_do_is_no_new_version(self, rides: Rides) -> None:
        rides.write([(1, "bike", 1.0)])
        assert join(rides).number == 1

    def test_a_retry_makes_no_second_version(self, rides: Rides) -> None:
        for number in range(3):
            rides.write([(number, "bike", 1.0)])
        assert join(rides).number == 4
        assert join(rides).number == 4

    def test_what_joined_meanwhile_stays(self, rides: Rides) -> None:
        for number in range(3):
            rides.write([(number, "bike", 1.0)])
        store = rides.ledger.store
        late = rides.stage([(9, "bus", 1.0)])

        class Slow:
            """A store on which somebody publishes while parts are being written."""

            def __getattr__(self, name: str) -> object:
                return getattr(store, name)

            def compact(self, **kwargs: object) -> object:
                made = store.compact(**kwargs)  # type: ignore[arg-type]
                other.publish(other_staged)
                return made

        with Ledger.connect(rides.ledger.connection._dsn) as own:
            other = Rides(own, layout=rides.layout)
            other_staged = late
            version = compact(
                ledger=rides.ledger,
                store=Slow(),  # type: ignore[arg-type]
                identity=identity("compact"),
                place=rides.place(),
                policy=CompactionPolicy(),
            )
        assert [row[0] for row in rides.view()] == [0, 1, 2, 9]
        assert len(rides.ledger.versions.manifest(version.version_id)) == 2


class Collected:
    """A store on which retention comes just before something is read."""

    def __init__(self, rides: Rides, verb: str) -> None:
        self._rides, self._verb = rides, verb

    def __getattr__(self, name: str) -> object:
        if name == self._verb:
            with Ledger.connect(self._rides.ledger.connection._dsn) as own:
                other = Rides(own, layout=self._rides.layout, runs=self._rides.runs)
                other.write([(9, "bus", 9.0)], mode="replace")
                assert gather(other).parts
        return getattr(self._rides.ledger.store, name)


class TestMeanwhile:
    def test_compacting_what_is_collected_meanwhile_is_stale(self, rides: Rides) -> None:
        for number in range(3):
            rides.write([(number, "bike", 1.0)])
        with pytest.raises(StaleVersionError, match=r"of rides@3 were collected while they were being read"):
            compact(
                ledger=rides.ledger,
                store=Collected(rides, "compact"),  # type: ignore[arg-type]
                identity=identity("compact"),
                place=rides.place(),
                policy=CompactionPolicy(),
            )
        assert rides.view() == [(9, "bus", 9.0)]

    @pytest.mark.parametrize("mode", ["merge", "append"])
    def test_staging_on_what_is_collected_meanwhile_is_stale(self, rides: Rides, mode: WriteMode) -> None:
        rides.write([(1, "bike", 1.0)])
        merge = MergeSpec(("id",)) if mode == "merge" else None
        source = Rows(COLUMNS, [[(1, "bus", 2.0)]])
        said = {"digest": "x", "origin": "a list"}
        verb = "stage_merge"
        if merge is None:
            verb, version = "stage", rides.ledger.versions.find("rides")
            inputs = {"rides": (rides.ledger.versions.manifest(version.version_id), COLUMNS)}
            source, said = Query("SELECT * FROM rides", inputs), said | {"inputs": (version,)}
        with pytest.raises(StaleVersionError, match=r"of rides@1 were collected while they were being read"):
            stage_source(
                ledger=rides.ledger,
                store=Collected(rides, verb),  # type: ignore[arg-type]
                identity=identity("stage"),
                target=Target("rides", mode, merge=merge, location="public.rides"),
                source=source,
                **said,
            )

    def test_what_is_wrong_for_another_reason_is_said_as_it_is(self, rides: Rides) -> None:
        version = rides.write([(1, "bike", 1.0)])
        with pytest.raises(SpecError, match="does not understand"), reading(rides.ledger, [version]):
            rides.ledger.connection.execute("SELECT nonsense")

    def test_a_compacted_part_that_was_given_up_is_written_anew(self, rides: Rides) -> None:
        for number in range(3):
            rides.write([(number, "bike", 1.0)])
        store = rides.ledger.store

        class Abandoning:
            """A store whose compacted part is taken for an abandoned batch before it is published."""

            def __getattr__(self, name: str) -> object:
                if name == "switch":
                    raise KeyboardInterrupt
                return getattr(store, name)

        with pytest.raises(KeyboardInterrupt):
            compact(
                ledger=rides.ledger,
                store=Abandoning(),  # type: ignore[arg-type]
                identity=identity("compact", "again"),
                place=rides.place(),
                policy=CompactionPolicy(),
            )
        assert gather(rides).abandoned
        assert join(rides, "again").number == 4
        assert len(rides.view()) == 3
