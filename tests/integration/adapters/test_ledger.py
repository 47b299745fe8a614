from __future__ import annotations

from typing import Any

import pytest

from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.core.errors import (
    AssetNotFoundError,
    BackendError,
    GateError,
    RegistryError,
    SpecError,
    VersionNotFoundError,
)
from airflow_dataml.core.lineage import Edge, report_node, version_node
from airflow_dataml.core.runs import digest_of
from tests.support import declare, identity


class TestRuns:
    def test_a_retry_keeps_its_generation_whatever_the_input(self, ledger: PostgresLedger) -> None:
        first = ledger.runs.begin(identity(), input_digest="a")
        again = ledger.runs.begin(identity(), input_digest="b")
        assert (first.generation, again.generation, again.resumed) == (1, 1, True)

    def test_a_finished_task_cleared_on_equal_input_keeps_its_generation(
        self, ledger: PostgresLedger
    ) -> None:
        ledger.runs.finish(ledger.runs.begin(identity(), input_digest="a"))
        assert ledger.runs.begin(identity(), input_digest="a").generation == 1

    @pytest.mark.parametrize("state", ["success", "refused"])
    def test_a_finished_task_cleared_on_other_input_starts_the_next(
        self, ledger: PostgresLedger, state: str
    ) -> None:
        ledger.runs.finish(ledger.runs.begin(identity(), input_digest="a"), state=state)
        assert ledger.runs.begin(identity(), input_digest="b").generation == 2
        assert ledger.runs.begin(identity(), input_digest="c").generation == 2

    @pytest.mark.parametrize(("allowed", "generation"), [(3, 1), (5, 2)], ids=["retry", "clear"])
    def test_only_a_clear_raises_what_airflow_allows(
        self, ledger: PostgresLedger, allowed: int, generation: int
    ) -> None:
        from dataclasses import replace

        ledger.runs.finish(ledger.runs.begin(replace(identity(), max_tries=3), input_digest="a"))
        again = ledger.runs.begin(replace(identity(), max_tries=allowed), input_digest="b")
        assert again.generation == generation

    def test_the_input_that_counts_is_that_of_the_try_that_finished(self, ledger: PostgresLedger) -> None:
        ledger.runs.begin(identity(), input_digest="a")
        ledger.runs.finish(ledger.runs.begin(identity(), input_digest="b"))
        assert ledger.runs.begin(identity(), input_digest="b").generation == 1
        assert ledger.runs.begin(identity(), input_digest="a").generation == 2

    def test_mapped_tasks_are_different_tasks(self, ledger: PostgresLedger) -> None:
        from dataclasses import replace

        one = identity()
        other = replace(one, task=replace(one.task, map_index=3))
        keys = {ledger.runs.begin(i, input_digest="a").run_key for i in (one, other)}
        assert len(keys) == 2


class TestAssets:
    def test_what_is_not_said_again_stays(self, ledger: PostgresLedger) -> None:
        ledger.assets.register(
            name="rides", kind="dataset", uri="u", owner="ann", importance="high", tags=["a"]
        )
        ledger.assets.register(name="rides", kind="dataset", uri="u", description="Rides.")
        found = ledger.assets.get("rides")
        assert (found["owner"], found["importance"], found["tags"], found["description"]) == (
            "ann",
            "high",
            ["a"],
            "Rides.",
        )

    def test_a_name_has_one_kind(self, ledger: PostgresLedger) -> None:
        declare(ledger)
        with pytest.raises(SpecError, match="'rides' is a dataset in the ledger and was declared a model"):
            declare(ledger, kind="model")

    def test_an_unknown_name_gets_a_hint(self, ledger: PostgresLedger) -> None:
        declare(ledger)
        with pytest.raises(AssetNotFoundError, match="Did you mean 'rides'"):
            ledger.assets.get("ride")

    def test_pages_go_on_after_a_name(self, ledger: PostgresLedger) -> None:
        for name in ("a", "b", "c"):
            declare(ledger, name)
        assert [row["name"] for row in ledger.assets.list(after="a", limit=1)] == ["b"]


class TestVersions:
    def test_numbers_count_up_and_aliases_keep_their_history(self, ledger: PostgresLedger) -> None:
        declare(ledger, "ride_demand", kind="model")
        versions = []
        for index in range(2):
            run = ledger.runs.begin(identity(run=str(index)), input_digest="a")
            versions.append(ledger.versions.add(run=run, fact=run.fact("ride_demand")))
            ledger.versions.move_alias(
                asset="ride_demand", name="champion", version_id=versions[-1].version_id, run=run
            )
        assert [v.ref for v in versions] == ["ride_demand@1", "ride_demand@2"]
        assert ledger.versions.find("ride_demand@champion").number == 2
        history = ledger.connection.rows(
            "SELECT from_version, to_version FROM dataml.alias_history ORDER BY entry_id"
        )
        ids = [v.version_id for v in versions]
        assert history == [
            {"from_version": None, "to_version": ids[0]},
            {"from_version": ids[0], "to_version": ids[1]},
        ]

    def test_moving_an_alias_to_where_it_is_leaves_no_trace(self, ledger: PostgresLedger) -> None:
        declare(ledger)
        run = ledger.runs.begin(identity(), input_digest="a")
        version = ledger.versions.add(run=run, fact=run.fact("rides"))
        for _ in range(2):
            ledger.versions.move_alias(asset="rides", name="current", version_id=version.version_id, run=run)
        assert ledger.connection.scalar("SELECT count(*) FROM dataml.alias_history") == 1

    def test_an_unknown_version_names_the_known_ones(self, ledger: PostgresLedger) -> None:
        declare(ledger)
        run = ledger.runs.begin(identity(), input_digest="a")
        ledger.versions.add(run=run, fact=run.fact("rides"))
        with pytest.raises(VersionNotFoundError, match=r"'rides@7' does not exist.*rides@1"):
            ledger.versions.find("rides@7")


class TestAudit:
    @pytest.fixture
    def entries(self, ledger: PostgresLedger) -> PostgresLedger:
        run = ledger.runs.begin(identity(), input_digest="a")
        for index in range(3):
            ledger.audit.add(action="publish", subject=f"rides@{index}", run=run, detail={"rows": index})
        return ledger

    def test_an_untouched_chain_holds(self, entries: PostgresLedger) -> None:
        assert entries.audit.verify() == (3, None)

    @pytest.mark.parametrize(
        "statement",
        ["UPDATE dataml.audit SET actor = 'x'", "DELETE FROM dataml.audit", "TRUNCATE dataml.audit"],
    )
    def test_it_refuses_change(self, entries: PostgresLedger, statement: str) -> None:
        with pytest.raises(SpecError, match="append-only"):
            entries.connection.execute(statement)

    @pytest.mark.parametrize(
        ("tampering", "fault"),
        [
            ("UPDATE dataml.audit SET detail = '{}' WHERE seq = 2", "entry 2: content was changed"),
            ("DELETE FROM dataml.audit WHERE seq = 1", "entry 2: an entry is missing"),
            ("UPDATE dataml.audit SET prev_hash = 'x' WHERE seq = 3", "entry 3: does not follow"),
        ],
        ids=["changed", "removed", "relinked"],
    )
    def test_it_notices_what_a_superuser_did(
        self, entries: PostgresLedger, tampering: str, fault: str
    ) -> None:
        entries.connection.execute("ALTER TABLE dataml.audit DISABLE TRIGGER ALL")
        entries.connection.execute(tampering)
        assert fault in str(entries.audit.verify()[1])

    def test_writers_side_by_side_make_one_chain(self, ledger_dsn: str) -> None:
        import threading

        from airflow_dataml.adapters.postgres.ledger import PostgresLedger as Ledger

        def work(index: int) -> None:
            with Ledger.connect(ledger_dsn) as own:
                run = own.runs.begin(identity(run=str(index)), input_digest="a")
                for _ in range(10):
                    own.audit.add(action="publish", subject="rides", run=run, detail={})

        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with Ledger.connect(ledger_dsn) as own:
            assert own.audit.verify() == (40, None)


class TestOutbox:
    def fill(self, ledger: PostgresLedger) -> None:
        for key, order in (("a1", "a"), ("a2", "a"), ("b1", "b")):
            ledger.outbox.add(key=key, topic="t", ordering_key=order, payload={"key": key})

    def test_the_same_key_twice_is_one_event(self, ledger: PostgresLedger) -> None:
        self.fill(ledger)
        self.fill(ledger)
        sent: list[Any] = []
        assert ledger.outbox.deliver("t", sent.append) == 3
        assert ledger.outbox.deliver("t", sent.append) == 0
        assert [p["key"] for p in sent] == ["a1", "a2", "b1"]

    def test_a_backend_that_does_not_answer_loses_nothing_and_keeps_order(
        self, ledger: PostgresLedger
    ) -> None:
        self.fill(ledger)

        def refuse(payload: Any) -> None:
            msg = "down"
            raise RegistryError(msg)

        assert ledger.outbox.deliver("t", refuse) == 0
        sent: list[Any] = []
        # a1 waits its turn, a2 waits behind it, b goes.
        ledger.outbox.deliver("t", sent.append)
        assert [p["key"] for p in sent] == ["b1"]
        ledger.connection.execute("UPDATE dataml.outbox SET next_at = now()")
        ledger.outbox.deliver("t", sent.append)
        assert [p["key"] for p in sent] == ["b1", "a1", "a2"]

    def test_what_can_never_go_becomes_a_dead_letter_with_its_reason(self, ledger: PostgresLedger) -> None:
        self.fill(ledger)

        def reject(payload: Any) -> None:
            msg = "no such model"
            raise SpecError(msg)

        ledger.outbox.deliver("t", reject)
        row = ledger.connection.row("SELECT state, last_error FROM dataml.outbox WHERE event_key = 'a1'")
        assert row == {"state": "dead", "last_error": "no such model"}

    def test_a_dead_letter_does_not_hold_up_the_others(self, ledger: PostgresLedger) -> None:
        self.fill(ledger)
        sent: list[Any] = []

        def send(payload: Any) -> None:
            if payload["key"] == "a1":
                msg = "no such model"
                raise SpecError(msg)
            sent.append(payload["key"])

        assert ledger.outbox.deliver("t", send) == 2
        assert sent == ["a2", "b1"]


class TestEvidence:
    def test_a_report_is_written_once_per_fact(self, ledger: PostgresLedger) -> None:
        declare(ledger)
        run = ledger.runs.begin(identity(), input_digest="a")
        first = ledger.reports.add(
            run=run, fact=run.fact("rides"), kind="check", verdict="fail", body={"n": 1}
        )
        again = ledger.reports.add(
            run=run, fact=run.fact("rides"), kind="check", verdict="pass", body={"n": 2}
        )
        assert (again.report_id, again.verdict, again.body) == (first.report_id, "fail", {"n": 1})

    def test_evidence_is_kept_even_with_numbers_json_does_not_know(self, ledger: PostgresLedger) -> None:
        declare(ledger)
        run = ledger.runs.begin(identity(), input_digest="a")
        body = {"loss": float("nan"), "range": [float("inf"), 1.0]}
        report = ledger.reports.add(run=run, fact=run.fact("rides"), kind="check", verdict="error", body=body)
        assert report.body == {"loss": None, "range": [None, 1.0]}

    def test_every_broken_batch_is_an_incident_of_its_own(self, ledger: PostgresLedger) -> None:
        declare(ledger)
        run = ledger.runs.begin(identity(), input_digest="a")
        report = ledger.reports.add(run=run, fact=run.fact("rides"), kind="check", verdict="fail", body={})
        for day in ("mon", "tue", "mon"):
            ledger.incidents.open(
                asset="rides",
                kind="data",
                severity="high",
                title=day,
                report_id=report.report_id,
                partition_key=day,
            )
        assert [i.partition_key for i in ledger.incidents.open_data(["rides", "other"])] == ["mon", "tue"]

    def test_trouble_seen_again_joins_the_open_incident(self, ledger: PostgresLedger) -> None:
        declare(ledger)
        run = ledger.runs.begin(identity(), input_digest="a")
        report = ledger.reports.add(run=run, fact=run.fact("rides"), kind="check", verdict="fail", body={})
        said = {
            "asset": "rides",
            "kind": "data",
            "severity": "high",
            "title": "broken",
            "report_id": report.report_id,
        }
        first, new = ledger.incidents.open(**said)
        second, newer = ledger.incidents.open(**said)
        assert (first.incident_id, new, newer) == (second.incident_id, True, False)
        ledger.incidents.resolve(first.incident_id, resolution="mended")
        third, newest = ledger.incidents.open(**said)
        assert newest
        assert third.incident_id != first.incident_id

    @pytest.mark.parametrize(
        ("severity", "told"),
        [("high", ("high", "worse")), ("medium", ("medium", "late")), ("low", ("medium", "late"))],
    )
    def test_worse_trouble_raises_the_open_incident(
        self, ledger: PostgresLedger, severity: str, told: tuple[str, str]
    ) -> None:
        declare(ledger)
        run = ledger.runs.begin(identity(), input_digest="a")
        first, second = (
            ledger.reports.add(run=run, fact=run.fact("rides"), kind=kind, verdict="fail", body={})
            for kind in ("check", "monitor")
        )
        said = {"asset": "rides", "kind": "data", "partition_key": "mon"}
        opened, _ = ledger.incidents.open(**said, severity="medium", title="late", report_id=first.report_id)
        raised, new = ledger.incidents.open(
            **said, severity=severity, title="worse", report_id=second.report_id
        )
        assert (raised.incident_id, new) == (opened.incident_id, False)
        assert (raised.severity, raised.title) == told
        assert raised.report_id == (second if severity == "high" else first).report_id

    @pytest.mark.parametrize("what", ["incident", "report"])
    def test_news_of_one_asset_is_committed_in_order(
        self, ledger: PostgresLedger, ledger_dsn: str, what: str
    ) -> None:
        for name in ("rides", "fares"):
            declare(ledger, name)
        with PostgresLedger.connect(ledger_dsn) as other:
            other.connection.execute("SET lock_timeout = '200ms'")
            runs = [
                one.runs.begin(identity(f"{i}"), input_digest="a") for i, one in enumerate((ledger, other))
            ]
            reports = {
                name: ledger.reports.add(
                    run=runs[0], fact=runs[0].fact(name), kind="check", verdict="fail", body={}
                )
                for name in ("rides", "fares")
            }

            def tell(one: PostgresLedger, asset: str, kind: str) -> int:
                if what == "report":
                    run = runs[one is other]
                    fact = run.fact(asset)
                    return one.reports.add(
                        run=run, fact=fact, kind="monitor", verdict="fail", body={}
                    ).report_id
                number = reports[asset].report_id
                said = {"severity": "low", "title": "x", "report_id": number}
                return one.incidents.open(asset=asset, kind=kind, **said)[0].incident_id

            with ledger.transaction():
                first = tell(ledger, "rides", "data")
                # Whoever writes of another asset does not wait.
                tell(other, "fares", "data")
                with pytest.raises(BackendError, match="lock timeout"):
                    tell(other, "rides", "drift")
            assert tell(other, "rides", "drift") > first


class TestLineage:
    def test_walks_reach_versions_and_reports_both_ways(self, ledger: PostgresLedger) -> None:
        declare(ledger)
        versions = []
        for index in range(3):
            run = ledger.runs.begin(identity(run=str(index)), input_digest="a")
            versions.append(ledger.versions.add(run=run, fact=run.fact("rides")))
        report = ledger.reports.add(run=run, fact=run.fact("rides"), kind="monitor", verdict="fail", body={})
        a, b, c = (version_node(v.version_id) for v in versions)
        alarm = report_node(report.report_id)
        edges = [
            Edge(a, b, "derived"),
            Edge(b, alarm, "monitored"),
            Edge(alarm, c, "reason"),
            Edge(a, c, "derived"),
        ]
        ledger.lineage.add(edges, run=run)
        ledger.lineage.add(edges, run=run)
        up = ledger.lineage.walk(str(c), direction="upstream")
        assert {n.node: n.depth for n in up.nodes} == {str(c): 0, str(a): 1, str(alarm): 1, str(b): 2}
        assert len(up.edges) == 4
        down = ledger.lineage.walk(str(a), direction="downstream")
        assert {n.node for n in down.nodes} == {str(x) for x in (a, b, alarm, c)}

    def test_a_walk_is_bounded_and_says_so(self, ledger: PostgresLedger) -> None:
        declare(ledger)
        run = ledger.runs.begin(identity(), input_digest="a")
        ledger.lineage.add(
            [Edge(version_node(i), version_node(i + 1), "derived") for i in range(30)], run=run
        )
        graph = ledger.lineage.walk("version:0", direction="downstream", depth=5)
        assert graph.truncated
        assert len(graph.edges) == 5


class TestErrors:
    def test_a_statement_that_makes_no_sense_is_a_mistake(self, ledger: PostgresLedger) -> None:
        with pytest.raises(SpecError, match="does not understand"):
            ledger.connection.rows("SELEC 1")

    def test_a_value_of_the_wrong_type_is_bad_data(self, ledger: PostgresLedger) -> None:
        with pytest.raises(GateError, match="refused the data"):
            ledger.connection.rows("SELECT 'x'::integer")

    def test_a_lost_server_is_worth_a_retry(self, ledger: PostgresLedger) -> None:
        with pytest.raises(BackendError, match="did not answer"):
            ledger.connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")


def test_digests_tell_inputs_apart() -> None:
    assert digest_of(a=1) != digest_of(a=2)
