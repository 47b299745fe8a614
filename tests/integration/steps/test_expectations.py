"""Our own checks on the real ledger: what a batch's past, a version and another dataset say about it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.core.contract import Contract
from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import AssetNotFoundError, QualityGateError, VersionNotFoundError
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.quality import CheckResult, QualityReport, Verdict
from airflow_dataml.core.runs import digest_of
from airflow_dataml.steps.ingest import Target, stage_csv
from airflow_dataml.steps.publish import place_of, publish_part
from airflow_dataml.steps.verify import verify_part
from tests.support import RIDES, declare, identity, rides_csv

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import StagedPart
    from airflow_dataml.core.governance import Report

BASE = "dataset: a/b/public/rides\ncolumns:\n  - name: id\n    checks: [missing: ]\n  - name: kind\n  - name: km\nx-dataml:\n"
KINDS = ("bike", "car", "tram")


class Engine:
    """Says how many rows there are."""

    name = "told"

    def version(self) -> str:
        """Always the same."""
        return "1"

    def verify(self, *, contract: Contract, relation: Any, connection: Any, **_: Any) -> QualityReport:
        """Pass every check, with the rows as what was observed."""
        count = connection.execute(f"SELECT count(*) FROM {relation.quoted}").fetchone()[0]
        now = datetime.now(UTC)
        found = [CheckResult.of(check, Verdict.PASS, observed=count) for check in contract.checks]
        return QualityReport.conclude(
            contract=contract, found=found, rows=count, engine=self.name, engine_version="1", relation=relation,
            started=now, finished=now,
        )  # fmt: skip


class Feed:
    """Stages, verifies and publishes batches of rides."""

    def __init__(self, ledger: PostgresLedger, folder: Path) -> None:
        self.ledger = ledger
        self.folder = folder

    def stage(
        self, key: str, rows: list[tuple[object, ...]], dataset: str = "rides", run: str = "first"
    ) -> StagedPart:
        path = rides_csv(self.folder / f"{dataset}-{key}.csv", rows)
        return stage_csv(
            ledger=self.ledger, store=self.ledger.store, identity=identity("stage", f"{dataset}-{key}-{run}"),
            target=Target(dataset, "append", key), path=path, columns=RIDES,
        )  # fmt: skip

    def verify(self, staged: StagedPart, block: str, *, run: str = "first", **said: Any) -> Report:
        return verify_part(
            ledger=self.ledger, warehouse=self.ledger.warehouse, store=self.ledger.store, engine=Engine(),
            identity=identity("audit", f"{staged.asset}-{staged.partition_key}-{run}"), staged=staged,
            contract=Contract.from_text(BASE + block), scope=said.pop("scope", "batch"), **said,
        )  # fmt: skip

    def publish(self, staged: StagedPart, run: str = "first") -> None:
        publish_part(
            ledger=self.ledger, store=self.ledger.store, staged=staged, require_check=False,
            identity=identity("publish", f"{staged.asset}-{staged.partition_key}-{run}"),
            place=place_of(self.ledger, staged.asset, f"public.{staged.asset}", Layout()),
        )  # fmt: skip

    def days(self, sizes: list[int], block: str = "  require_rows: true\n") -> list[Report]:
        """Bring in one batch a day, verified and published."""
        reports = []
        for number, size in enumerate(sizes):
            staged = self.stage(str(date(2026, 1, 5) + timedelta(days=number)), rides(size, seed=number))
            reports.append(self.verify(staged, block))
            self.publish(staged)
        return reports


def rides(
    count: int, *, seed: int = 0, kinds: tuple[str, ...] = KINDS, km: float = 5.0
) -> list[tuple[object, ...]]:
    return [(seed * 1000 + n, kinds[(n + seed) % len(kinds)], km + (n * 37 % 100) / 50) for n in range(count)]


def ours(report: Report) -> dict[str, Any]:
    """The one result of our block."""
    [found] = [
        c for c in report.body["checks"] if c["id"].startswith("x-dataml.") and c["type"] != "require_rows"
    ]
    return found


@pytest.fixture
def feed(ledger: PostgresLedger, tmp_path: Path) -> Feed:
    declare(ledger)
    return Feed(ledger, tmp_path)


SIZES = [20, 22, 19, 21, 20, 23, 20, 18, 21, 22, 20]
ROWS = "  anomalies: [{metric: row_count, min_history: 10%s}]\n"


class TestAnomalies:
    def test_a_young_dataset_is_published_and_seen_to_learn(self, feed: Feed) -> None:
        reports = feed.days(SIZES, ROWS % "")
        young, old = reports[3], reports[-1]
        assert (young.verdict, young.body["verdict"]) == ("pass", "pass")
        assert (ours(young)["verdict"], ours(young)["level"]) == ("unknown", "warn")
        assert ours(young)["detail"] == "learns: 3 of at least 10 past values"
        assert "1 had too little data of 3 checks" in young.body["summary"]
        assert (ours(old)["verdict"], ours(old)["diagnostics"]["n"]) == ("pass", 10)

    def test_what_the_past_does_not_foretell_is_refused_with_the_range(self, feed: Feed) -> None:
        feed.days(SIZES)
        with pytest.raises(QualityGateError, match=r"row_count is 90, expected between -?[\d.]+ and [\d.]+"):
            feed.verify(feed.stage("2026-01-16", rides(90)), ROWS % "")

    def test_a_warning_lets_it_in_and_it_teaches_nothing(self, feed: Feed) -> None:
        feed.days(SIZES)
        staged = feed.stage("2026-01-16", rides(90))
        assert feed.verify(staged, ROWS % ", level: warn").verdict == "warn"
        feed.publish(staged)
        report = feed.verify(feed.stage("2026-01-17", rides(20)), ROWS % ", level: warn")
        assert (report.verdict, ours(report)["diagnostics"]["n"]) == ("pass", 11)

    def test_metrics_come_from_profiles(self, feed: Feed) -> None:
        feed.days(SIZES)
        metrics = {
            "missing(kind)": "pass",
            "missing_percent(km)": "fail",
            "avg(km)": "fail",
            "min(km)": "pass",
            "max(km)": "fail",
            "sum(km)": "fail",
            "stddev(km)": "fail",
            "distinct(kind)": "fail",
        }
        anomalies = ", ".join(f"{{metric: {metric}, min_history: 10}}" for metric in metrics)
        rows = [*rides(19), (99, "boat", 500.0), (98, "car", None)]
        report = feed.verify(feed.stage("2026-01-16", rows), f"  on_fail: warn\n  anomalies: [{anomalies}]\n")
        found = {c["name"]: c["verdict"] for c in report.body["checks"] if c["type"] == "anomaly"}
        assert found == metrics

    def test_a_check_of_the_contract_has_a_past_too(self, feed: Feed) -> None:
        block = "  on_fail: warn\n  anomalies: [{check: columns.id.checks.missing, min_history: 10}]\n"
        feed.days(SIZES, block)
        report = feed.verify(feed.stage("2026-01-16", rides(99)), block)
        assert (ours(report)["observed"], ours(report)["verdict"]) == (99, "fail")

    @pytest.mark.parametrize(("key", "n"), [("2026-01-15", 10), ("2026-01-16", 11), ("2026-01-10", 5)])
    def test_a_batch_that_comes_again_knows_what_was_before_it(self, feed: Feed, key: str, n: int) -> None:
        feed.days(SIZES)
        report = feed.verify(feed.stage(key, rides(21), run="again"), ROWS % "", run="again")
        assert ours(report)["diagnostics"]["n"] == n

    def test_what_cannot_be_measured_passes_no_check(self, feed: Feed) -> None:
        block = "  anomalies: [{metric: freshness(kind)}]\n"
        with pytest.raises(
            QualityGateError, match=r"freshness\(kind\) was not measured .* is text and has 20 values"
        ):
            feed.verify(feed.stage("2026-01-16", rides(20)), block)

    def test_freshness_is_the_age_of_the_newest_value(self, feed: Feed) -> None:
        text = (
            BASE.replace("name: km", "name: at") + "  anomalies: [{metric: freshness(at), min_history: 10}]\n"
        )
        columns = (Column("id", "integer"), Column("kind", "text"), Column("at", "timestamp with time zone"))
        found = []
        for number in range(13):
            moment = datetime(2026, 1, 5, 6, number % 5, tzinfo=UTC) + timedelta(days=number)
            newest = moment - timedelta(hours=2 if number < 12 else 30)
            path = feed.folder / f"{number}.csv"
            path.write_text(f"id,kind,at\n{number},car,{newest.isoformat()}\n")
            staged = stage_csv(
                ledger=feed.ledger, store=feed.ledger.store, identity=identity("stage", str(number)),
                target=Target("rides", "append"), path=path, columns=columns,
            )  # fmt: skip
            contract = Contract.from_text(text.replace("x-dataml:\n", "x-dataml:\n  on_fail: warn\n"))
            report = verify_part(
                ledger=feed.ledger, warehouse=feed.ledger.warehouse, store=feed.ledger.store, engine=Engine(), staged=staged,
                identity=identity("audit", str(number)), contract=contract, scope="batch", data_timestamp=moment,
            )  # fmt: skip
            found.append(ours(report))
            feed.publish(staged, run=str(number))
        assert [f["verdict"] for f in found] == ["unknown"] * 10 + ["pass"] * 2 + ["fail"]
        assert (found[-1]["observed"], found[-1]["unit"]) == (30.0, "hours")


class TestDistributions:
    BLOCK = "  distributions: [{column: %s, min_rows: 100%s}]\n"

    def test_the_first_batch_has_nothing_to_be_compared_with(self, feed: Feed) -> None:
        report = feed.verify(feed.stage("2026-01-05", rides(300)), self.BLOCK % ("km", ""))
        assert (report.verdict, ours(report)["verdict"]) == ("pass", "unknown")

    @pytest.mark.parametrize(
        ("column", "rows", "verdict", "detail"),
        [
            ("km", rides(300, seed=2), "pass", ""),
            ("km", rides(300, km=6.5), "fail", "values moved"),
            ("km", [(n, "car", None) for n in range(200)] + rides(100), "fail", "missing moved"),
            ("kind", rides(300, seed=1), "pass", ""),
            ("kind", rides(300, kinds=("bike", "car", "boat")), "fail", "new values moved"),
            ("kind", rides(50, kinds=("boat",)), "unknown", "fewer than 100 values here or in rides@1"),
        ],
        ids=["same", "moved", "missing", "same kinds", "new kind", "few"],
    )  # fmt: skip
    def test_a_batch_is_compared_with_a_version(
        self, feed: Feed, column: str, rows: list[Any], verdict: str, detail: str
    ) -> None:
        feed.days([300])
        block = "  on_fail: warn\n" + self.BLOCK % (column, ", reference: rides@1")
        found = ours(feed.verify(feed.stage("2026-01-06", rows), block))
        assert (found["verdict"], detail in found["detail"]) == (verdict, True)

    def test_masked_values_are_not_shown(self, feed: Feed) -> None:
        feed.days([300])
        staged = feed.stage("2026-01-06", rides(300, kinds=("boat",)))
        block = "  on_fail: warn\n  samples: {mask: [kind]}\n" + self.BLOCK % ("kind", "")
        assert "boat" not in str(ours(feed.verify(staged, block)))

    def test_other_edges_are_brought_together(self, feed: Feed) -> None:
        declare(feed.ledger, "old_rides")
        feed.publish(feed.stage("2026-01-05", rides(300, km=5.5), dataset="old_rides"))
        staged = feed.stage("2026-01-05", rides(300))
        block = "  on_fail: warn\n" + self.BLOCK % ("km", ", reference: old_rides")
        found = ours(feed.verify(staged, block))
        assert (found["verdict"], found["diagnostics"]["version"]) == ("fail", "old_rides@1")

    def test_a_version_that_is_not_there_is_named(self, feed: Feed) -> None:
        feed.days([20])
        with pytest.raises(VersionNotFoundError, match=r"'rides@7' does not exist\. Did you mean 'rides@1'"):
            feed.verify(feed.stage("2026-01-06", rides(20)), self.BLOCK % ("km", ", reference: rides@7"))


class TestReferences:
    BLOCK = "  references: [{columns: [kind], dataset: %s%s}]\n"

    @pytest.fixture
    def kinds(self, feed: Feed) -> Callable[[str, tuple[str, ...]], None]:
        def bring(key: str, kinds: tuple[str, ...]) -> None:
            declare(feed.ledger, "vehicles")
            feed.publish(
                feed.stage(key, [(n, kind, 1.0) for n, kind in enumerate(kinds)], dataset="vehicles")
            )

        return bring

    def test_every_row_must_find_its_key(self, feed: Feed, kinds: Any) -> None:
        kinds("a", ("bike", "car"))
        with pytest.raises(
            QualityGateError, match=r"6 rows with 1 keys have no match in vehicles@1, such as \(tram\)"
        ):
            feed.verify(feed.stage("2026-01-05", rides(20)), self.BLOCK % ("vehicles", ""))

    def test_a_null_refers_to_nothing_by_right(self, feed: Feed, kinds: Any) -> None:
        kinds("a", KINDS)
        staged = feed.stage("2026-01-05", [*rides(9), (99, None, 1.0)])
        assert ours(feed.verify(staged, self.BLOCK % ("vehicles", "")))["verdict"] == "pass"

    @pytest.mark.parametrize(
        ("more", "verdict"), [(", max_failed: 6", "pass"), (", max_failed: 5", "fail"), (", level: warn", "warn")],
        ids=["borne", "too many", "warns"],
    )  # fmt: skip
    def test_some_may_be_borne(self, feed: Feed, kinds: Any, more: str, verdict: str) -> None:
        kinds("a", ("bike", "car"))
        block = "  on_fail: warn\n" + self.BLOCK % ("vehicles", more)
        assert ours(feed.verify(feed.stage("2026-01-05", rides(20)), block))["verdict"] == verdict

    def test_a_pinned_version_is_what_is_looked_into(self, feed: Feed, kinds: Any) -> None:
        kinds("a", ("bike", "car"))
        kinds("b", ("tram",))
        block = "  on_fail: warn\n" + self.BLOCK
        found = [
            ours(feed.verify(feed.stage(f"2026-01-0{n}", rides(20)), block % (ref, "")))
            for n, ref in ((5, "vehicles@1"), (6, "vehicles"))
        ]
        assert [f["verdict"] for f in found] == ["fail", "pass"]
        assert [f["diagnostics"]["version"] for f in found] == ["vehicles@1", "vehicles@2"]

    def test_the_result_is_looked_at_where_the_contract_is_run_on_it(self, feed: Feed, kinds: Any) -> None:
        feed.days([20])
        kinds("a", ("bike", "car"))
        staged = feed.stage("2026-01-06", rides(20, kinds=("car",)))
        block = "  on_fail: warn\n" + self.BLOCK % ("vehicles", "")
        assert ours(feed.verify(staged, block, scope="result"))["observed"] == 6

    def test_masked_keys_are_not_shown(self, feed: Feed, kinds: Any) -> None:
        kinds("a", ("bike", "car"))
        block = "  on_fail: warn\n  samples: {rows: 1, mask: [kind]}\n" + self.BLOCK % ("vehicles", "")
        found = ours(feed.verify(feed.stage("2026-01-05", rides(20)), block))
        assert found["diagnostics"]["samples"] == [{"key": ["***"], "rows": 6}]

    @pytest.mark.parametrize(
        ("more", "detail"),
        [
            (", to: [code]", "column of vehicles@1 'code' does not exist"),
            (", to: [id]", "operator does not exist: integer = text"),
        ],
        ids=["column", "type"],
    )
    def test_what_cannot_be_looked_up_is_an_error_of_that_check_alone(
        self, feed: Feed, kinds: Any, more: str, detail: str
    ) -> None:
        kinds("a", KINDS)
        with pytest.raises(QualityGateError, match=detail) as refused:
            feed.verify(feed.stage("2026-01-05", rides(20)), self.BLOCK % ("vehicles", more))
        assert [c["verdict"] for c in refused.value.report["checks"]] == ["pass", "pass", "error"]

    def test_a_dataset_that_is_not_there_is_named(self, feed: Feed) -> None:
        declare(feed.ledger, "vehicles")
        with pytest.raises(AssetNotFoundError, match="Did you mean 'vehicles'"):
            feed.verify(feed.stage("2026-01-05", rides(20)), self.BLOCK % ("vehicle", ""))

    def test_hostile_names_stay_names(self, ledger: PostgresLedger) -> None:
        """A column may be called anything; it reaches SQL quoted."""
        from airflow_dataml.core.contract_expectations import ReferenceCheck
        from airflow_dataml.core.contract_extension import Samples
        from airflow_dataml.core.refs import Relation
        from airflow_dataml.steps.expectations import _reference

        name = '100%s"; DROP TABLE x; --'
        quoted = '"' + name.replace('"', '""') + '"'
        for table in ("one", "two"):
            ledger.connection.execute(f"CREATE TABLE {table} ({quoted} text)")
        ledger.connection.execute("INSERT INTO one VALUES ('lost')")
        check = ReferenceCheck(columns=[name], dataset="two")
        found = _reference(
            ledger.warehouse, check, Relation("public", "one"), Relation("public", "two"), "two@1", Samples()
        )
        assert (found.observed, found.verdict) == (1, Verdict.FAIL)


def test_a_batch_is_verified_anew_when_what_it_is_compared_with_has_moved(feed: Feed) -> None:
    declare(feed.ledger, "vehicles")
    digests = []
    for key in ("a", "b"):
        feed.publish(feed.stage(key, [(1, key, 1.0)], dataset="vehicles"))
        staged = feed.stage("2026-01-05", rides(9))
        feed.verify(
            staged, "  on_fail: warn\n  references: [{columns: [kind], dataset: vehicles, level: warn}]\n"
        )
        digests.append(
            feed.ledger.connection.scalar("SELECT input_digest FROM dataml.run WHERE task_id = 'audit'")
        )
    assert digests[0] != digests[1] != digest_of()
