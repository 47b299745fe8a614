"""Quarantine: rows at fault move out, the rest is verified again and published, and they may come back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.adapters.native import NativeEngine
from airflow_dataml.adapters.native.rules import NativeRules
from airflow_dataml.core.contract import Contract
from airflow_dataml.core.errors import (
    NotFoundError,
    QualityEngineError,
    QualityGateError,
    SpecError,
    StaleVersionError,
)
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.quality import Verdict
from airflow_dataml.core.retention import RetentionPolicy
from airflow_dataml.core.stores import MergeSpec
from airflow_dataml.steps.branches import create_branch, merge_branch
from airflow_dataml.steps.ingest import Target, stage_csv
from airflow_dataml.steps.publish import place_of, publish_part
from airflow_dataml.steps.replay import discard, quarantined, stage_replay
from airflow_dataml.steps.retain import collect, sweep
from airflow_dataml.steps.verify import verify_part
from tests.support import RIDES, declare, identity, publish, rides_csv, stage

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import StagedPart
    from airflow_dataml.core.governance import Report

KM = "columns.km.checks.invalid"
KIND = "columns.kind.checks.missing"
CONTRACT = """
dataset: w/d/public/rides
columns:
  - {name: id, data_type: integer, checks: [missing: , duplicate: ]}
  - {name: kind, data_type: text, checks: [missing: ]}
  - {name: km, data_type: double precision, valid_min: 0, checks: [invalid: ]}
checks: [row_count: {threshold: {must_be_greater_than: 2}}]
x-dataml:
  on_fail: quarantine
  quarantine: {max_fraction: 0.5, cap: 100}
"""
GOOD = [(1, "bike", 1.0), (2, "car", 2.0), (3, "tram", 3.0), (4, "bike", 4.0), (5, "car", 5.0)]
BAD = [(6, "car", -6.0), (7, "", -7.0)]


def check(
    ledger: PostgresLedger, staged: StagedPart, *, run: str = "run", text: str = CONTRACT, **said: Any
) -> Report:
    return verify_part(
        ledger=ledger,
        warehouse=ledger.warehouse,
        store=ledger.store,
        engine=said.pop("engine", NativeEngine()),
        identity=identity("audit", run),
        staged=staged,
        contract=Contract.from_text(text),
        rules=NativeRules(),
        **said,
    )


def ids(ledger: PostgresLedger, relation: str = "public.rides") -> list[int]:
    return [row["id"] for row in ledger.connection.rows(f"SELECT id FROM {relation} ORDER BY id")]


def replay(
    ledger: PostgresLedger, *, run: str = "replay", repair: str | None = None, **said: Any
) -> StagedPart:
    key = said.pop("key", "mon")
    return stage_replay(
        ledger=ledger,
        store=ledger.store,
        identity=identity("replay", run),
        target=said.pop("target", Target("rides", "append", key)),
        rows_of=said.pop("rows_of", None) or quarantined(ledger, "rides", partition_key=key),
        repair=repair,
    )


def incidents(ledger: PostgresLedger) -> list[tuple[str, str, str]]:
    return [(i.severity, i.state, i.title) for i in reversed(ledger.incidents.list())]


@pytest.fixture
def batch(ledger: PostgresLedger, tmp_path: Path) -> StagedPart:
    """Five good rows and two bad ones."""
    declare(ledger)
    return stage(ledger, rides_csv(tmp_path / "a.csv", [*GOOD, *BAD]), mode="partition", key="mon")


class TestSetAside:
    def test_the_rest_is_published_and_the_rows_at_fault_are_kept_with_their_reasons(
        self, ledger: PostgresLedger, batch: StagedPart
    ) -> None:
        report = check(ledger, batch)
        version = publish(ledger, batch, require_check=True)

        [one] = ledger.quarantine.list(asset="rides")
        names, *rows = ledger.quarantine.rows(one.quarantine_id)
        assert (report.verdict, version.ref, ids(ledger)) == ("pass", "rides@1", [1, 2, 3, 4, 5])
        assert (one.rows, one.tested, one.reasons, one.partition_key) == (2, 7, {KM: 2, KIND: 1}, "mon")
        assert names == ("id", "kind", "km", "_reasons")
        assert sorted(rows) == [(6, "car", -6.0, [KM]), (7, None, -7.0, [KIND, KM])]
        assert version.facts["batch_rows"] == 5
        assert report.body["left_out"] == {"id": 1, "rows": 2, "tested": 7, "reasons": {KM: 2, KIND: 1}}

    def test_both_reports_are_evidence_and_an_incident_is_open(
        self, ledger: PostgresLedger, batch: StagedPart
    ) -> None:
        report = check(ledger, batch)
        assert incidents(ledger) == []
        publish(ledger, batch, require_check=True)

        first = ledger.reports.latest(asset="rides", kind="check", part_id=batch.part_id)
        assert first is not None
        assert (first.verdict, report.part_id != batch.part_id) == ("fail", True)
        assert incidents(ledger) == [("medium", "new", "2 rows of rides mon were set aside")]
        actions = [
            row["action"] for row in ledger.connection.rows("SELECT action FROM dataml.audit ORDER BY seq")
        ]
        assert actions == ["quarantine", "publish"]

    def test_a_retry_and_a_cleared_run_change_nothing(
        self, ledger: PostgresLedger, batch: StagedPart
    ) -> None:
        reports = [check(ledger, batch) for _ in range(2)]
        versions = [publish(ledger, batch, require_check=True) for _ in range(2)]
        # What readers see has moved, so this is another question; what was published stands.
        again = check(ledger, batch)

        assert {r.report_id for r in (*reports, again)} == {reports[0].report_id}
        assert {v.ref for v in versions} == {"rides@1"}
        assert [one.state for one in ledger.quarantine.list()] == ["open"]
        assert publish(ledger, batch, require_check=True).ref == "rides@1"

    def test_a_batch_without_fault_is_left_alone(self, ledger: PostgresLedger, tmp_path: Path) -> None:
        declare(ledger)
        staged = stage(ledger, rides_csv(tmp_path / "a.csv", GOOD), mode="partition", key="mon")
        assert check(ledger, staged).part_id == staged.part_id
        assert ledger.quarantine.list() == []

    def test_the_rest_has_the_layout_and_the_inputs_of_the_batch(
        self, ledger: PostgresLedger, batch: StagedPart
    ) -> None:
        ledger.assets.set_location("rides", Layout(keys=("id",)).to_location())
        check(ledger, batch)
        rest = ledger.quarantine.rest_of(batch.part_id)
        assert rest is not None
        indexes = ledger.connection.rows("SELECT 1 FROM pg_index WHERE indrelid = %s::regclass AND indisunique", [rest.locator])  # fmt: skip
        assert (rest.rows, rest.partition_key, rest.replaces, len(indexes)) == (5, "mon", (batch.part_id,), 1)
        assert rest.profile["columns"]["km"]["min"] == 1.0
        with pytest.raises(Exception, match="is a part of published versions"):
            ledger.connection.execute(f"DELETE FROM {rest.relation.quoted}")

    def test_a_new_contract_looks_at_the_whole_batch_again(
        self, ledger: PostgresLedger, batch: StagedPart
    ) -> None:
        check(ledger, batch)
        lenient = CONTRACT.replace("valid_min: 0", "valid_min: -10").replace("0.5", "0.4")
        check(ledger, batch, text=lenient)
        publish(ledger, batch, require_check=True)
        assert ids(ledger) == [1, 2, 3, 4, 5, 6]
        assert [(one.rows, one.state) for one in ledger.quarantine.list()] == [(1, "open"), (2, "discarded")]

    def test_another_check_looks_at_the_rest(self, ledger: PostgresLedger, batch: StagedPart) -> None:
        check(ledger, batch)
        strict = CONTRACT.replace("on_fail: quarantine", "on_fail: reject")
        report = check(ledger, batch, run="other", text=strict)
        assert (report.verdict, report.body["rows"]) == ("pass", 5)
        with pytest.raises(QualityGateError, match="row_count"):
            check(ledger, batch, run="third", text=strict.replace("than: 2", "than: 5"))
        with pytest.raises(QualityGateError, match="was refused"):
            publish(ledger, batch, require_check=True)

    def test_a_batch_for_a_branch_stays_with_it_until_the_branch_is_merged(
        self, ledger: PostgresLedger, batch: StagedPart, tmp_path: Path
    ) -> None:
        publish(ledger, stage(ledger, rides_csv(tmp_path / "0.csv", GOOD[:3]), run="0"), run="0")
        ledger.assets.set_location("rides", {"table": "public.rides"})
        branch = create_branch(
            ledger=ledger, store=ledger.store, identity=identity("b"), name="dev", assets=["rides"]
        )
        staged = replace(batch, branch=branch.name)
        check(ledger, staged, scope="batch")
        place = place_of(ledger, "rides", f"{branch.schema}.rides", Layout(), branch="dev")
        publish_part(ledger=ledger, store=ledger.store, identity=identity("p"), staged=staged, place=place)
        assert incidents(ledger) == []
        assert quarantined(ledger, "rides", partition_key="mon") == ()
        assert [q.rows for q in quarantined(ledger, "rides", partition_key="mon", branch="dev")] == [2]
        merge_branch(ledger=ledger, store=ledger.store, identity=identity("m"), name="dev")
        assert [q.rows for q in quarantined(ledger, "rides", partition_key="mon")] == [2]

    def test_references_are_those_of_the_check(
        self, ledger: PostgresLedger, batch: StagedPart, tmp_path: Path
    ) -> None:
        declare(ledger, "kinds")
        path = tmp_path / "kinds.csv"
        path.write_text("kind\nbike\ncar\n")
        kinds = stage_csv(
            ledger=ledger, store=ledger.store, identity=identity("kinds"), target=Target("kinds", "replace"),
            path=path, columns=RIDES[1:2],
        )  # fmt: skip
        place = place_of(ledger, "kinds", "public.kinds", Layout())
        publish_part(ledger=ledger, store=ledger.store, identity=identity("kinds2"), staged=kinds, place=place, require_check=False)  # fmt: skip
        text = CONTRACT.replace(
            "checks: [missing: ]}\n  - {name: km",
            "checks: [missing: , invalid: {valid_reference_data: {dataset: kinds, column: kind}}]}\n  - {name: km",
        )
        check(ledger, batch, text=text, references={"kinds": "kinds"})
        [one] = ledger.quarantine.list()
        assert one.reasons == {"columns.kind.checks.invalid": 1, KIND: 1, KM: 2}

    def test_a_merge_leaves_the_keys_of_quarantined_rows_as_they_were(
        self, ledger: PostgresLedger, tmp_path: Path
    ) -> None:
        declare(ledger)
        publish(ledger, stage(ledger, rides_csv(tmp_path / "a.csv", GOOD)))
        rows = [(1, "tram", 10.0), (2, "tram", -2.0), (3, "bike", 3.0), (8, "bike", 8.0), (9, "bike", -9.0)]
        staged = stage_csv(
            ledger=ledger, store=ledger.store, identity=identity("stage", "2"),
            target=Target("rides", "merge", merge=MergeSpec(("id",))),
            path=rides_csv(tmp_path / "b.csv", rows), columns=RIDES,
        )  # fmt: skip
        check(ledger, staged, run="2")
        version = publish(ledger, staged, run="2", require_check=True)
        seen = ledger.connection.rows("SELECT id, kind, km FROM public.rides ORDER BY id")
        assert [tuple(row.values()) for row in seen] == [
            (1, "tram", 10.0), (2, "car", 2.0), (3, "bike", 3.0), (4, "bike", 4.0), (5, "car", 5.0), (8, "bike", 8.0),
        ]  # fmt: skip
        assert (version.rows, ledger.quarantine.list()[0].rows) == (6, 2)


class TestRefusedAsAWhole:
    @pytest.mark.parametrize(
        ("text", "rows", "words"),
        [
            (
                CONTRACT.replace("0.5", "0.1"),
                BAD,
                r"2 of 7 rows \(28.57%\) are at fault.*10.00% be set aside",
            ),
            (CONTRACT.replace("cap: 100", "cap: 1"), BAD, r"2 rows are at fault.*lets 1 be set aside"),
            (
                CONTRACT.replace("0.5", "1"),
                [(n, "car", -1.0) for n in range(1, 6)],
                "all 10 rows are at fault",
            ),
            (CONTRACT, [(1, "bike", -1.0)], r"duplicate\(id\) does not speak of single rows"),
            (CONTRACT.replace("than: 2", "than: 6"), BAD, r"row_count is 5"),
        ],
        ids=["fraction", "cap", "everything bad", "duplicates", "too few left"],
    )
    def test_nothing_is_published(
        self, ledger: PostgresLedger, tmp_path: Path, text: str, rows: list[Any], words: str
    ) -> None:
        declare(ledger)
        good = [(n, k, -km) for n, k, km in GOOD] if "all 10" in words else GOOD
        rows = [(n + 10, k, km) for n, k, km in rows] if "all 10" in words else rows
        staged = stage(ledger, rides_csv(tmp_path / "a.csv", [*good, *rows]), mode="partition", key="mon")
        for _ in range(2):
            with pytest.raises(QualityGateError, match=words):
                check(ledger, staged, text=text)
            with pytest.raises(QualityGateError, match="refused"):
                publish(ledger, staged, require_check=True)
        assert [severity for severity, *_ in incidents(ledger)] == ["high"]
        assert ledger.quarantine.open_of("rides") == ()

    def test_faults_in_rows_that_were_published_before_are_not_moved(
        self, ledger: PostgresLedger, tmp_path: Path
    ) -> None:
        declare(ledger)
        publish(ledger, stage(ledger, rides_csv(tmp_path / "a.csv", [(8, "car", -8.0)])))
        staged = stage(ledger, rides_csv(tmp_path / "b.csv", GOOD), run="2")
        with pytest.raises(QualityGateError, match="no row of this batch is at fault"):
            check(ledger, staged, run="2")

    def test_what_the_rest_cannot_mend_discards_the_quarantine_and_gc_takes_its_rows(
        self, ledger: PostgresLedger, batch: StagedPart
    ) -> None:
        with pytest.raises(QualityGateError):
            check(ledger, batch, text=CONTRACT.replace("than: 2", "than: 6"))
        [one] = ledger.quarantine.list()
        assert (one.state, "refused as a whole" in str(one.note)) == ("discarded", True)
        swept = sweep(ledger=ledger, store=ledger.store, identity=identity("gc"))
        assert list(swept.strays) == [one.relation]
        with pytest.raises(NotFoundError, match="were collected"):
            list(ledger.quarantine.rows(one.quarantine_id))

    @pytest.mark.parametrize(
        ("said", "words"),
        [
            ({"store": "delta"}, "needs a dataset kept in PostgreSQL, and 'rides' is kept in delta"),
            ({"rules": None}, "pass rules="),
        ],
        ids=["delta", "no rules"],
    )
    def test_what_cannot_be_done_is_said_before_any_work(
        self, ledger: PostgresLedger, batch: StagedPart, said: dict[str, Any], words: str
    ) -> None:
        @dataclass
        class Elsewhere:
            name: str = "delta"

        class Untouched:
            """An engine nobody should ask."""

        store: Any = Elsewhere() if "store" in said else ledger.store
        with pytest.raises(SpecError, match=words):
            verify_part(
                ledger=ledger, warehouse=ledger.warehouse, store=store, engine=Untouched(),  # type: ignore[arg-type]
                identity=identity("audit"), staged=batch, contract=Contract.from_text(CONTRACT),
                rules=said.get("rules", NativeRules()),
            )  # fmt: skip
        assert ledger.reports.list(asset="rides") == []

    def test_the_task_may_say_reject_where_the_contract_says_quarantine(
        self, ledger: PostgresLedger, batch: StagedPart
    ) -> None:
        with pytest.raises(QualityGateError, match="Nothing was published"):
            check(ledger, batch, on_fail="reject")
        assert ledger.quarantine.list() == []


@dataclass
class Failing:
    """The native engine, whose rest-of-the-batch answers are errors for a while."""

    errors: int
    name: str = "native"
    asked: list[int] = field(default_factory=list)

    def version(self) -> str:
        return "1"

    def verify(self, **said: Any) -> Any:
        """Answer, or cut an answer short."""
        report = NativeEngine().verify(**said)
        self.asked.append(report.rows or 0)
        if report.verdict is Verdict.PASS and self.errors:
            self.errors -= 1
            return replace(report, errors=("the database went away",))
        return report


def test_a_rest_that_could_not_be_evaluated_is_tried_again(ledger: PostgresLedger, batch: StagedPart) -> None:
    engine = Failing(errors=1)
    with pytest.raises(QualityGateError, match="went away"):
        check(ledger, batch, engine=engine)
    assert [one.state for one in ledger.quarantine.list()] == ["open"]
    with pytest.raises(QualityGateError, match="was refused"):
        publish(ledger, batch, require_check=True)
    assert check(ledger, batch, engine=engine).verdict == "pass"
    assert (engine.asked, len(ledger.quarantine.list())) == ([7, 5, 5], 1)
    assert publish(ledger, batch, require_check=True).rows == 5


def test_a_rest_that_was_never_checked_is_not_published(ledger: PostgresLedger, batch: StagedPart) -> None:
    class Dying(Failing):
        """Answers once."""

        def verify(self, **said: Any) -> Any:
            if self.asked:
                msg = "the engine died"
                raise QualityEngineError(msg)
            return super().verify(**said)

    with pytest.raises(QualityEngineError, match="died"):
        check(ledger, batch, engine=Dying(errors=0))
    assert [one.state for one in ledger.quarantine.list()] == ["open"]
    with pytest.raises(QualityGateError, match="was refused"):
        publish(ledger, batch, require_check=True)


class TestReplay:
    @pytest.fixture
    def published(self, ledger: PostgresLedger, batch: StagedPart) -> PostgresLedger:
        check(ledger, batch)
        publish(ledger, batch, require_check=True)
        return ledger

    def test_repaired_rows_come_back_and_close_their_quarantine(self, published: PostgresLedger) -> None:
        repair = "SELECT id, coalesce(kind, 'tram') AS kind, abs(km) AS km FROM quarantined; "
        staged = [replay(published, repair=repair) for _ in range(2)][-1]
        check(published, staged, run="replay")
        version = publish(published, staged, run="replay", require_check=True)

        one = published.quarantine.get(1)
        assert ids(published) == [1, 2, 3, 4, 5, 6, 7]
        assert (one.state, one.version) == ("replayed", version.ref)
        assert incidents(published) == [("medium", "resolved", "2 rows of rides mon were set aside")]
        assert [c.type for c in published.versions.columns(version.version_id)] == [c.type for c in RIDES]
        with pytest.raises(SpecError, match=r"quarantine 1 of 'rides' was replayed as rides@2; nothing"):
            quarantined(published, "rides", quarantine_id=1)

    def test_reasons_are_there_to_choose_by(self, published: PostgresLedger) -> None:
        repair = f"SELECT id, kind, -km AS km FROM quarantined WHERE _reasons = ARRAY['{KM}'] -- only these\n"
        staged = replay(published, repair=repair)
        assert staged.rows == 1

    def test_what_breaks_the_contract_again_is_set_aside_anew(self, published: PostgresLedger) -> None:
        staged = replay(published, repair="SELECT id, kind, abs(km) AS km FROM quarantined")
        check(published, staged, run="replay", scope="batch", text=CONTRACT.replace("than: 2", "than: 0"))
        publish(published, staged, run="replay", require_check=True)
        assert ids(published) == [1, 2, 3, 4, 5, 6]
        assert [(q.rows, q.state) for q in published.quarantine.list()] == [(1, "open"), (2, "replayed")]
        assert incidents(published)[-1][1] == "new"

    def test_what_is_not_repaired_at_all_stays_where_it_is(self, published: PostgresLedger) -> None:
        staged = replay(published)
        with pytest.raises(QualityGateError, match="all 2 rows are at fault"):
            check(published, staged, run="replay")
        assert [(q.rows, q.state) for q in published.quarantine.list()] == [(2, "open")]

    def test_rows_are_never_published_twice(self, published: PostgresLedger) -> None:
        repair = "SELECT id, 'tram' AS kind, abs(km) AS km FROM quarantined"
        first, second = (replay(published, run=run, repair=repair) for run in ("1", "2"))
        publish(published, first, run="r1")
        with pytest.raises(StaleVersionError, match="quarantine 1 of 'rides' was replayed as rides@2"):
            publish(published, second, run="r2")
        assert ids(published) == [1, 2, 3, 4, 5, 6, 7]

    def test_a_replay_may_merge_by_key(self, published: PostgresLedger) -> None:
        target = Target("rides", "merge", "mon", merge=MergeSpec(("id",)))
        staged = replay(
            published, target=target, repair="SELECT id - 5 AS id, 'tram' AS kind, 0 AS km FROM quarantined"
        )
        check(published, staged, run="replay")
        publish(published, staged, run="replay", require_check=True)
        assert ids(published) == [1, 2, 3, 4, 5]
        assert published.connection.scalar("SELECT count(*) FROM public.rides WHERE kind = 'tram'") == 3

    @pytest.mark.parametrize(
        ("said", "error", "words"),
        [
            ({"repair": "SELECT id FROM quarantined"}, SpecError, 'column "kind" does not exist'),
            (
                {"repair": "SELECT * FROM quarantined WHERE false"},
                QualityGateError,
                "from quarantine 1 has no row",
            ),
            ({"repair": "DROP TABLE x"}, SpecError, "does not understand"),
            ({"target": Target("rides", "replace")}, SpecError, "use append or merge"),
        ],
        ids=["column missing", "no row", "no query", "mode"],
    )
    def test_a_bad_repair_changes_nothing(
        self, published: PostgresLedger, said: dict[str, Any], error: type[Exception], words: str
    ) -> None:
        parts = published.connection.scalar("SELECT count(*) FROM dataml.part")
        with pytest.raises(error, match=words):
            replay(published, **said)
        assert published.connection.scalar("SELECT count(*) FROM dataml.part") == parts
        assert published.quarantine.get(1).state == "open"

    def test_an_unknown_number_is_said_so(self, published: PostgresLedger) -> None:
        with pytest.raises(NotFoundError, match="quarantine 99 is not in the ledger"):
            quarantined(published, "rides", quarantine_id=99)
        with pytest.raises(SpecError, match="holds rows of 'rides', not of 'taxis'"):
            quarantined(published, "taxis", quarantine_id=1)

    def test_discarding_needs_a_reason_and_happens_once(self, published: PostgresLedger) -> None:
        with pytest.raises(SpecError, match="needs a reason"):
            discard(ledger=published, identity=identity("cli"), quarantine_id=1, reason=" ")
        one = discard(ledger=published, identity=identity("cli", "2"), quarantine_id=1, reason="test rides")
        assert (one.state, one.note) == ("discarded", "test rides")
        assert incidents(published)[0][1] == "resolved"
        with pytest.raises(SpecError, match="was discarded: test rides"):
            discard(ledger=published, identity=identity("cli", "3"), quarantine_id=1, reason="again")
        assert published.audit.verify()[1] is None

    def test_a_partition_that_comes_again_supersedes_what_was_left_out(
        self, published: PostgresLedger, tmp_path: Path
    ) -> None:
        rows = [*GOOD, (6, "car", 6.0), (7, "car", -7.0)]
        staged = stage(published, rides_csv(tmp_path / "b.csv", rows), run="2", mode="partition", key="mon")
        check(published, staged, run="2")
        publish(published, staged, run="2", require_check=True)
        assert [(q.rows, q.state, q.note) for q in published.quarantine.list()] == [
            (1, "open", None), (2, "discarded", "superseded by rides@2"),
        ]  # fmt: skip
        assert incidents(published) == [
            ("medium", "resolved", "2 rows of rides mon were set aside"),
            ("low", "new", "1 row of rides mon was set aside"),
        ]

    def test_open_rows_outlive_retention(self, published: PostgresLedger) -> None:
        policy = RetentionPolicy(keep_last=1, abandon_hours=0)
        collect(
            ledger=published, store=published.store, identity=identity("gc"), asset="rides", policy=policy
        )
        assert sweep(ledger=published, store=published.store, identity=identity("sweep")).strays == {}
        assert replay(published).rows == 2


class TestSamples:
    def test_failed_rows_are_shown_cut_and_masked(self, ledger: PostgresLedger, tmp_path: Path) -> None:
        declare(ledger)
        rows = [(1, "secret-" + "x" * 300, -1.0), (2, "secret", 2.0), (2, "secret", -3.0)]
        staged = stage(ledger, rides_csv(tmp_path / "a.csv", rows))
        text = CONTRACT + "  samples: {rows: 5, mask: [kind]}\n"
        with pytest.raises(QualityGateError) as caught:
            check(ledger, staged, text=text, on_fail="reject")
        [report] = ledger.reports.list(asset="rides")
        assert report.body["samples"] == {
            "columns.id.checks.duplicate": {"columns": ["id", "rows"], "rows": [["2", "2"]]},
            KM: {"columns": ["id", "kind", "km"], "rows": [["1", "***", "-1"], ["2", "***", "-3"]]},
        }
        assert "secret" not in str(report.body) + str(caught.value)

    def test_an_expression_over_a_masked_column_is_masked(
        self, ledger: PostgresLedger, tmp_path: Path
    ) -> None:
        declare(ledger)
        staged = stage(ledger, rides_csv(tmp_path / "a.csv", [(1, "secret", 2.0), (2, "secret", 3.0)]))
        text = CONTRACT.replace("{name: id,", "{name: id, column_expression: lower(KIND),").replace(
            "checks: [missing: , duplicate: ]", "checks: [duplicate: ]"
        )
        with pytest.raises(QualityGateError):
            check(ledger, staged, text=text + "  samples: {rows: 5, mask: [kind]}\n", on_fail="reject")
        [report] = ledger.reports.list(asset="rides")
        assert report.body["samples"]["columns.id.checks.duplicate"]["rows"] == [["***", "2"]]

    def test_values_and_rows_are_bounded(self, ledger: PostgresLedger, tmp_path: Path) -> None:
        declare(ledger)
        rows = [(n, "k" * 1000, -1.0) for n in range(1000)]
        staged = stage(ledger, rides_csv(tmp_path / "a.csv", rows))
        with pytest.raises(QualityGateError):
            check(ledger, staged, text=CONTRACT + "  samples: {rows: 100}\n", on_fail="reject")
        [report] = ledger.reports.list(asset="rides")
        shown = report.body["samples"][KM]["rows"]
        assert len(shown) == 100
        assert max(len(row[1]) for row in shown) == 200

    def test_none_are_shown_where_none_are_wanted(self, ledger: PostgresLedger, batch: StagedPart) -> None:
        with pytest.raises(QualityGateError):
            check(ledger, batch, text=CONTRACT + "  samples: {rows: 0}\n", on_fail="reject")
        assert "samples" not in ledger.reports.list(asset="rides")[0].body

    def test_a_sample_that_fails_changes_no_verdict(
        self, ledger: PostgresLedger, batch: StagedPart, caplog: pytest.LogCaptureFixture
    ) -> None:
        @dataclass
        class Wrong:
            """Rules that ask what the database cannot answer, in words that hold a value."""

            def conditions(self, *_: Any, **__: Any) -> Any:
                return ((KM, "kind::integer > 0"),)

            def duplicates(self, *_: Any, **__: Any) -> Any:
                return ()

        for on_fail, words in (("reject", "Nothing was published"), ("quarantine", "could not be told from")):
            with pytest.raises(QualityGateError, match=words):
                verify_part(
                    ledger=ledger, warehouse=ledger.warehouse, store=ledger.store, engine=NativeEngine(),
                    identity=identity("audit", on_fail), staged=batch, scope="batch", rules=Wrong(),
                    contract=Contract.from_text(CONTRACT.replace("{name: kind, data_type: text, checks: [missing: ]}", "{name: kind, data_type: text}")),
                    on_fail=on_fail,  # type: ignore[arg-type]
                )  # fmt: skip
        body = ledger.reports.list(asset="rides")[0].body
        assert body["samples"] == {KM: {"error": "no rows could be read (GateError)"}}
        assert "bike" not in str(body["samples"]) + str(body["quarantine"]) + caplog.text
