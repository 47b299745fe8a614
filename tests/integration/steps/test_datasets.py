from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import GateError, NotFoundError, QualityGateError, SpecError
from airflow_dataml.core.layout import Layout
from airflow_dataml.steps.ingest import Target, stage_csv, stage_query
from airflow_dataml.steps.publish import place_of, publish_part
from tests.support import RIDES, declare, identity, publish, rides_csv, stage

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger

SUNNY = [(1, "bike", 2.5), (2, "car", None), (3, "bike", 7.0)]


@pytest.fixture(autouse=True)
def _declared(ledger: PostgresLedger) -> None:
    declare(ledger)


def read(ledger: PostgresLedger) -> list[int]:
    return [row["id"] for row in ledger.connection.rows("SELECT id FROM public.rides ORDER BY id")]


def state(ledger: PostgresLedger) -> dict[str, int]:
    tables = ("part", "version", "edge", "alias_history", "audit", "report")
    counts = {t: ledger.connection.scalar(f"SELECT count(*) FROM dataml.{t}") for t in tables}
    counts["tables"] = ledger.connection.scalar(
        "SELECT count(*) FROM pg_class WHERE relnamespace = 'dataml_data'::regnamespace"
    )
    return counts


class TestStage:
    def test_rows_land_where_no_reader_looks(self, ledger: PostgresLedger, tmp_path: Path) -> None:
        staged = stage(ledger, rides_csv(tmp_path / "b.csv", SUNNY))
        assert staged.rows == 3
        assert ledger.connection.scalar("SELECT to_regclass('public.rides')") is None
        assert ledger.versions.part(staged.part_id).profile["columns"]["km"]["nulls"] == 1

    def test_a_retry_adopts_the_part(self, ledger: PostgresLedger, tmp_path: Path) -> None:
        path = rides_csv(tmp_path / "b.csv", SUNNY)
        assert stage(ledger, path) == stage(ledger, path)
        assert state(ledger)["tables"] == 1

    def test_a_corrected_file_of_a_cleared_task_is_read_again(
        self, ledger: PostgresLedger, tmp_path: Path
    ) -> None:
        first = stage(ledger, rides_csv(tmp_path / "b.csv", SUNNY))
        second = stage(ledger, rides_csv(tmp_path / "b.csv", [*SUNNY, (4, "tram", 1.0)]))
        assert (first.rows, second.rows) == (3, 4)

    @pytest.mark.parametrize(
        ("text", "error", "words"),
        [
            ("", QualityGateError, "is empty"),
            ("id,kind,km\n", QualityGateError, "is empty"),
            ("id,kind\n1,bike\n", SpecError, "missing km"),
            ("id,kind,km,extra\n1,bike,1,1\n", SpecError, "not declared extra"),
            ("id,kind,km\none,bike,1\n", GateError, "invalid input syntax for type integer"),
        ],
        ids=["no header", "no rows", "column missing", "column too many", "wrong type"],
    )
    def test_a_bad_file_leaves_nothing_behind(
        self, ledger: PostgresLedger, tmp_path: Path, text: str, error: type[Exception], words: str
    ) -> None:
        path = tmp_path / "bad.csv"
        path.write_text(text)
        before = state(ledger)
        with pytest.raises(error, match=words):
            stage(ledger, path)
        assert state(ledger) == before

    def test_a_missing_file_is_named(self, ledger: PostgresLedger, tmp_path: Path) -> None:
        with pytest.raises(SpecError, match=r"absent.csv' cannot be read \(No such file"):
            stage(ledger, tmp_path / "absent.csv")

    def test_partition_mode_needs_a_key(self, ledger: PostgresLedger, tmp_path: Path) -> None:
        with pytest.raises(SpecError, match="this run has no partition key"):
            stage(ledger, rides_csv(tmp_path / "b.csv", SUNNY), mode="partition")

    def test_an_unknown_type_is_named_before_it_becomes_sql(
        self, ledger: PostgresLedger, tmp_path: Path
    ) -> None:
        path = tmp_path / "b.csv"
        path.write_text("id\n1\n")
        with pytest.raises(SpecError, match="PostgreSQL does not know"):
            stage_csv(
                ledger=ledger,
                store=ledger.store,
                identity=identity(),
                target=Target("rides", "append"),
                path=path,
                columns=[Column("id", "integer); DROP TABLE dataml.asset; --")],
            )


class TestPublish:
    def test_append_shares_the_parents_parts(self, ledger: PostgresLedger, tmp_path: Path) -> None:
        publish(ledger, stage(ledger, rides_csv(tmp_path / "a.csv", SUNNY), run="1"), run="1")
        version = publish(
            ledger, stage(ledger, rides_csv(tmp_path / "b.csv", [(9, "car", 1)]), run="2"), run="2"
        )
        assert (version.ref, version.rows, read(ledger)) == ("rides@2", 4, [1, 2, 3, 9])
        assert len(ledger.versions.manifest(version.version_id)) == 2

    def test_replace_starts_afresh(self, ledger: PostgresLedger, tmp_path: Path) -> None:
        publish(ledger, stage(ledger, rides_csv(tmp_path / "a.csv", SUNNY), run="1"), run="1")
        publish(
            ledger,
            stage(ledger, rides_csv(tmp_path / "b.csv", [(9, "car", 1)]), run="2", mode="replace"),
            run="2",
        )
        assert read(ledger) == [9]

    def test_a_batch_that_comes_again_replaces_itself(self, ledger: PostgresLedger, tmp_path: Path) -> None:
        for run, key, rows in (
            ("1", "mon", SUNNY),
            ("2", "tue", [(9, "car", 1)]),
            ("3", "mon", [(1, "bike", 3)]),
        ):
            staged = stage(
                ledger, rides_csv(tmp_path / f"{run}.csv", rows), run=run, mode="partition", key=key
            )
            publish(ledger, staged, run=run)
        assert read(ledger) == [1, 9]

    def test_a_retry_makes_no_second_version(self, ledger: PostgresLedger, tmp_path: Path) -> None:
        staged = stage(ledger, rides_csv(tmp_path / "a.csv", SUNNY))
        first = publish(ledger, staged)
        before = state(ledger)
        assert publish(ledger, staged).version_id == first.version_id
        assert state(ledger) == before

    def test_equal_content_in_another_order_has_an_equal_fingerprint(
        self, ledger: PostgresLedger, tmp_path: Path
    ) -> None:
        one = publish(
            ledger, stage(ledger, rides_csv(tmp_path / "a.csv", SUNNY), run="1", mode="replace"), run="1"
        )
        two = publish(
            ledger,
            stage(ledger, rides_csv(tmp_path / "b.csv", SUNNY[::-1]), run="2", mode="replace"),
            run="2",
        )
        other = stage(
            ledger, rides_csv(tmp_path / "c.csv", [*SUNNY, SUNNY[0], SUNNY[0]]), run="3", mode="replace"
        )
        assert one.fingerprint == two.fingerprint != publish(ledger, other, run="3").fingerprint

    def test_a_part_is_published_once_whoever_asks(self, ledger: PostgresLedger, tmp_path: Path) -> None:
        staged = stage(ledger, rides_csv(tmp_path / "a.csv", SUNNY))
        publish(ledger, staged)
        assert publish(ledger, staged, run="another").ref == "rides@1"
        assert read(ledger) == [1, 2, 3]

    def test_a_view_that_somebody_wrote_is_not_replaced(self, ledger: PostgresLedger, tmp_path: Path) -> None:
        ledger.connection.execute("CREATE VIEW public.rides AS SELECT 7 AS id")
        with pytest.raises(SpecError, match="a view that was not published from here"):
            publish(ledger, stage(ledger, rides_csv(tmp_path / "a.csv", SUNNY)))
        assert read(ledger) == [7]

    def test_rights_survive_a_change_of_schema(self, ledger: PostgresLedger, tmp_path: Path) -> None:
        publish(ledger, stage(ledger, rides_csv(tmp_path / "a.csv", SUNNY), run="1"), run="1")
        ledger.connection.execute("GRANT SELECT ON public.rides TO PUBLIC")
        path = tmp_path / "b.csv"
        path.write_text("id\n1\n")
        staged = stage_csv(
            ledger=ledger,
            store=ledger.store,
            identity=identity("stage", "2"),
            target=Target("rides", "replace"),
            path=path,
            columns=RIDES[:1],
        )
        publish(ledger, staged, run="2", allow_breaking=True)
        granted = ledger.connection.scalar(
            "SELECT has_table_privilege('pg_monitor', 'public.rides', 'SELECT')"
        )
        assert granted is True

    def test_the_first_published_batch_chooses_the_edges_not_a_refused_one(
        self, ledger: PostgresLedger, tmp_path: Path
    ) -> None:
        stage(ledger, rides_csv(tmp_path / "wrong.csv", [(1, "bike", 0.005)]), run="wrong")
        rows = [(i, "bike", 500 + i % 50) for i in range(1000)]
        version = publish(ledger, stage(ledger, rides_csv(tmp_path / "a.csv", rows), run="1"), run="1")
        [part] = ledger.versions.manifest(version.version_id)
        low, high = part.profile["columns"]["km"]["grid"]
        assert low < 500
        assert high > 549
        late = stage(ledger, rides_csv(tmp_path / "b.csv", [(9, "car", 520)]), run="2")
        publish(ledger, late, run="2")
        grids = {
            tuple(p.profile["columns"]["km"]["grid"]) for p in ledger.versions.manifest(version.version_id)
        }
        assert grids == {(low, high)}

    def test_a_batch_staged_before_the_edges_were_chosen_takes_them_over(
        self, ledger: PostgresLedger, tmp_path: Path
    ) -> None:
        early = stage(ledger, rides_csv(tmp_path / "a.csv", [(1, "bike", 3), (2, "bike", 4)]), run="1")
        publish(ledger, stage(ledger, rides_csv(tmp_path / "b.csv", [(9, "car", 100)]), run="2"), run="2")
        version = publish(ledger, early, run="1")
        grids = {
            tuple(p.profile["columns"]["km"]["grid"]) for p in ledger.versions.manifest(version.version_id)
        }
        assert len(grids) == 1

    def test_values_near_the_ends_of_double_precision_do_no_harm(
        self, ledger: PostgresLedger, tmp_path: Path
    ) -> None:
        rows = [(1, "bike", "1e-200"), (2, "bike", "1e200"), (3, "bike", "NaN"), (4, "bike", "-Infinity")]
        assert stage(ledger, rides_csv(tmp_path / "a.csv", rows)).rows == 4

    def test_a_batch_nobody_checked_is_refused(self, ledger: PostgresLedger, tmp_path: Path) -> None:
        staged = stage(ledger, rides_csv(tmp_path / "a.csv", SUNNY))
        with pytest.raises(QualityGateError, match="never checked"):
            publish(ledger, staged, require_check=True)
        assert ledger.connection.scalar("SELECT to_regclass('public.rides')") is None

    @pytest.mark.parametrize("verdict", ["fail", "error", "unknown"])
    def test_a_refused_batch_stays_out(self, ledger: PostgresLedger, tmp_path: Path, verdict: str) -> None:
        staged = stage(ledger, rides_csv(tmp_path / "a.csv", SUNNY))
        run = ledger.runs.begin(identity("audit"), input_digest="a")
        ledger.reports.add(
            run=run, fact=run.fact("rides"), kind="check", verdict=verdict, body={}, part_id=staged.part_id
        )
        with pytest.raises(QualityGateError, match=f"was refused .*verdict {verdict}"):
            publish(ledger, staged, require_check=True)

    def test_a_changed_schema_is_refused_by_name(self, ledger: PostgresLedger, tmp_path: Path) -> None:
        publish(ledger, stage(ledger, rides_csv(tmp_path / "a.csv", SUNNY), run="1"), run="1")
        path = tmp_path / "b.csv"
        path.write_text("id,kind,miles\n1,bike,2\n")
        staged = stage_csv(
            ledger=ledger,
            store=ledger.store,
            identity=identity("stage", "2"),
            target=Target("rides", "append"),
            path=path,
            columns=[*RIDES[:2], Column("miles", "double precision")],
        )
        with pytest.raises(QualityGateError, match="km double precision is gone"):
            publish(ledger, staged, run="2")
        assert read(ledger) == [1, 2, 3]

    def test_a_table_of_somebody_else_is_not_replaced(self, ledger: PostgresLedger, tmp_path: Path) -> None:
        ledger.connection.execute("CREATE TABLE public.rides (id integer)")
        with pytest.raises(SpecError, match=r"public\.rides is a table of its own"):
            publish(ledger, stage(ledger, rides_csv(tmp_path / "a.csv", SUNNY)))

    def test_readers_see_the_old_or_the_new_never_a_mix(
        self, ledger: PostgresLedger, ledger_dsn: str, tmp_path: Path
    ) -> None:
        import threading

        from airflow_dataml.adapters.postgres.connection import Connection

        rows = {n: [(i, "bike", n) for i in range(500)] for n in range(6)}
        publish(
            ledger, stage(ledger, rides_csv(tmp_path / "0.csv", rows[0]), run="0", mode="replace"), run="0"
        )
        done, seen = threading.Event(), set()

        def watch() -> None:
            with Connection(ledger_dsn) as reader:
                while not done.is_set():
                    found = reader.one("SELECT count(*) AS n, count(DISTINCT km) AS kinds FROM public.rides")
                    seen.add((found["n"], found["kinds"]))

        watcher = threading.Thread(target=watch)
        watcher.start()
        for n in range(1, 6):
            publish(
                ledger,
                stage(ledger, rides_csv(tmp_path / f"{n}.csv", rows[n]), run=str(n), mode="replace"),
                run=str(n),
            )
        done.set()
        watcher.join()
        assert seen == {(500, 1)}


class TestTransform:
    def transform(self, ledger: PostgresLedger, query: str, run: str = "t", **inputs: str):
        declare(ledger, "long_rides")
        staged = stage_query(
            ledger=ledger,
            store=ledger.store,
            identity=identity("transform", run),
            target=Target("long_rides", "replace"),
            query=query,
            inputs=inputs or {"rides": "rides"},
            parameters={"least": 2},
        )
        return publish_part(
            ledger=ledger,
            store=ledger.store,
            identity=identity("publish_long", run),
            staged=staged,
            place=place_of(ledger, "long_rides", "public.long_rides", Layout()),
            require_check=False,
        )

    @pytest.fixture(autouse=True)
    def _two_versions(self, ledger: PostgresLedger, tmp_path: Path, _declared: None) -> None:
        publish(ledger, stage(ledger, rides_csv(tmp_path / "a.csv", SUNNY), run="1"), run="1")
        publish(ledger, stage(ledger, rides_csv(tmp_path / "b.csv", [(9, "car", 8)]), run="2"), run="2")

    @pytest.mark.parametrize(("ref", "rows"), [("rides", 3), ("rides@1", 2)], ids=["current", "pinned"])
    def test_a_query_reads_the_exact_version(self, ledger: PostgresLedger, ref: str, rows: int) -> None:
        version = self.transform(ledger, "SELECT * FROM rides WHERE km > %(least)s", rides=ref)
        assert version.rows == rows

    def test_lineage_names_the_exact_version(self, ledger: PostgresLedger) -> None:
        version = self.transform(ledger, "SELECT * FROM rides", rides="rides@1")
        graph = ledger.lineage.walk(f"version:{version.version_id}", direction="upstream")
        assert [node.label for node in graph.nodes] == ["long_rides@1", "rides@1"]

    @pytest.mark.parametrize(
        ("query", "error", "words"),
        [
            ("SELECT nothing FROM rides", SpecError, "nothing"),
            ("SELEC 1", SpecError, "syntax error"),
            ("SELECT * FROM rides WHERE false", QualityGateError, "has no row"),
            ("SELECT * FROM rides WHERE kind LIKE 'b%'", SpecError, "%"),
        ],
        ids=["unknown column", "typo", "no rows", "lonely per cent"],
    )
    def test_a_bad_query_leaves_nothing_behind(
        self, ledger: PostgresLedger, query: str, error: type[Exception], words: str
    ) -> None:
        declare(ledger, "long_rides")
        before = state(ledger)
        with pytest.raises(error, match=words):
            self.transform(ledger, query)
        assert state(ledger) == before

    def test_a_name_stands_for_a_version_in_its_own_query_alone(self, ledger: PostgresLedger) -> None:
        self.transform(ledger, "SELECT * FROM rides", run="a", rides="rides@1")
        version = self.transform(ledger, "SELECT * FROM public.rides", run="b", rides="rides@1")
        assert version.rows == 4

    def test_an_unknown_input_gets_a_hint(self, ledger: PostgresLedger) -> None:
        with pytest.raises(NotFoundError, match="Did you mean 'rides'"):
            self.transform(ledger, "SELECT 1", ride="ride")

    def test_values_are_bound_not_pasted(self, ledger: PostgresLedger) -> None:
        declare(ledger, "long_rides")
        staged = stage_query(
            ledger=ledger,
            store=ledger.store,
            identity=identity("bound"),
            target=Target("long_rides", "replace"),
            query="SELECT id, %(text)s AS said FROM rides",
            inputs={"rides": "rides"},
            parameters={"text": "'; DROP TABLE dataml.asset; --"},
        )
        assert staged.rows == 4


class TestTwoTriesAtOnce:
    def test_the_slower_one_is_told_to_come_again(
        self, ledger: PostgresLedger, ledger_dsn: str, tmp_path: Path
    ) -> None:
        from airflow_dataml.adapters.postgres.ledger import PostgresLedger as Ledger
        from airflow_dataml.core.errors import WarehouseError

        path = rides_csv(tmp_path / "b.csv", SUNNY)
        first = stage(ledger, path)
        # What the other try sees before the first has committed its fact: the table, and no part.
        ledger.connection.execute("DELETE FROM dataml.part")
        with (
            Ledger.connect(ledger_dsn) as other,
            pytest.raises(WarehouseError, match="another try of this task was faster"),
        ):
            stage(other, path)
        assert first.rows == 3


def test_batches_of_one_dataset_load_side_by_side(
    ledger: PostgresLedger, ledger_dsn: str, tmp_path: Path
) -> None:
    import threading

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger as Ledger

    def work(day: str) -> None:
        with Ledger.connect(ledger_dsn) as own:
            rows = [(int(day) * 100 + i, "bike", i) for i in range(50)]
            staged = stage(own, rides_csv(tmp_path / f"{day}.csv", rows), run=day, mode="partition", key=day)
            publish(own, staged, run=day)

    threads = [threading.Thread(target=work, args=(str(day),)) for day in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read(ledger)) == 300
    assert [v.number for v in ledger.versions.list("rides")] == [6, 5, 4, 3, 2, 1]


def test_the_writer_role_can_do_what_workers_do(ledger_dsn: str, tmp_path: Path) -> None:
    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.adapters.postgres.ledger import PostgresLedger as Ledger
    from airflow_dataml.adapters.postgres.migrate import GRANTS

    roles = {name: f"dataml_{name}_at_work" for name in ("reader", "writer", "approver")}
    with Connection(ledger_dsn) as admin:
        for role in roles.values():
            admin.execute(f'CREATE ROLE "{role}" LOGIN')
        admin.execute(GRANTS.format(**roles))
        try:
            with Ledger.connect(f"{ledger_dsn} user={roles['writer']}") as ledger:
                declare(ledger)
                for run in ("1", "2"):
                    publish(
                        ledger, stage(ledger, rides_csv(tmp_path / f"{run}.csv", SUNNY), run=run), run=run
                    )
                run = ledger.runs.begin(identity("alias"), input_digest="x")
                ledger.versions.move_alias(asset="rides", name="current", version_id=None, run=run)
                assert len(read(ledger)) == 6
                with pytest.raises(SpecError, match="permission denied"):
                    ledger.connection.execute("UPDATE dataml.report SET verdict = 'pass'")
        finally:
            for role in roles.values():
                admin.execute(f'DROP OWNED BY "{role}" CASCADE')
                admin.execute(f'DROP ROLE "{role}"')
