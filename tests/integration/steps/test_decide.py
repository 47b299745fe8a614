"""Deciding on a model's next version on a real ledger: from which news, how soon again, and when the data is to be mended."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.core.errors import NotFoundError, SpecError
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.monitoring import MonitorPolicy
from airflow_dataml.core.retraining import RetrainPolicy
from airflow_dataml.core.windows import TrainingPlan
from airflow_dataml.steps.decide import decide_after_monitor, decide_on_standing
from airflow_dataml.steps.ingest import Target, stage_csv
from airflow_dataml.steps.observe import observe_batch
from airflow_dataml.steps.publish import place_of, publish_part
from airflow_dataml.steps.standing import standing_of
from airflow_dataml.steps.train import Workshop, train_model
from tests.fakes import LineScorer
from tests.integration.steps.test_models import COLUMNS, GOOD, POOR, SPEC, Deployment
from tests.integration.steps.test_reproduce import read_line
from tests.support import identity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.governance import Report

Row = tuple[int, str, float | None, bool]


class Feeds(Deployment):
    """A deployment whose batches can be changed before they arrive."""

    def arrives(self, month: int, change: Callable[[list[Row]], list[Row]] = lambda rows: rows) -> Version:
        key, draw = f"2026-{month:02d}", random.Random(month)  # noqa: S311 - test data
        rows: list[Row] = []
        for index in range(2000):
            km = draw.uniform(1, 10)
            at = f"2026-{month:02d}-{1 + index // 80:02d}T10:00:{index % 60:02d}+00:00"
            rows.append((month * 10_000 + index, at, km, draw.random() < min(0.08 * km, 0.95)))
        text = "".join(
            f"{a},{at},{'' if km is None else f'{km:.4f}'},{late}\n" for a, at, km, late in change(rows)
        )
        path = self.folder / f"{key}.csv"
        path.write_text("id,at,km,late\n" + text)
        # Each arrival of a batch is a run of its own.
        run = f"{key}-{self.count}"
        self.count += 1
        staged = stage_csv(
            ledger=self.ledger,
            store=self.ledger.store,
            identity=identity("stage", run),
            target=Target("rides", "partition", key, location="public.rides"),
            path=path,
            columns=COLUMNS,
        )
        return publish_part(
            ledger=self.ledger,
            store=self.ledger.store,
            identity=identity("publish", run),
            staged=staged,
            place=place_of(self.ledger, "rides", "public.rides", Layout()),
            require_check=False,
        )

    count = 0

    def champion(self) -> Version:
        self.arrives(1)
        self.arrives(2)
        plan = self.plan()
        assert isinstance(plan, TrainingPlan)
        version = self.train("first", plan)
        self.promote("first", self.evaluate("first", version.ref))
        return self.ledger.versions.find("ride_late@champion")

    def watch(self, month: int, change: Callable[[list[Row]], list[Row]] = lambda rows: rows) -> Report:
        self.arrives(month, change)
        self.score(f"2026-{month:02d}")
        return self.observe(f"2026-{month:02d}")

    def observe(self, key: str, branch: str | None = None, run: str = "") -> Report:
        if not run:
            return super().observe(key, branch)
        return observe_batch(
            **self._common,
            identity=identity("monitor", key + run),
            model="ride_late",
            predictions="ride_scores",
            key_columns=("id",),
            partition_key=key,
            policy=MonitorPolicy(),
        )

    def decision(self, monitor: Report | None, run: str = "", **policy: Any) -> Report:
        said = RetrainPolicy(**policy)
        who = identity("decide", f"{monitor.report_id if monitor else 'standing'}{run}")
        if monitor is None:
            return decide_on_standing(ledger=self.ledger, identity=who, model="ride_late", policy=said)
        return decide_after_monitor(ledger=self.ledger, identity=who, monitor=monitor.report_id, policy=said)

    def answer(self, run: str, *, spec: Any = SPEC) -> Version:
        """Train what was asked for."""
        plan = self.plan()
        assert isinstance(plan, TrainingPlan)
        workshop = Workshop(self.trainer, self.registry, LineScorer, self.folder, "rides", read_line)
        return train_model(
            **self._common, identity=identity("train", run), plan=plan, spec=spec, workshop=workshop
        )

    def aliases(self) -> dict[str, int | None]:
        found = {
            name: self.ledger.versions.alias("ride_late", name)
            for name in ("candidate", "challenger", "champion")
        }
        return {name: one.number if one else None for name, one in found.items()}


@pytest.fixture
def make(ledger: PostgresLedger, tmp_path: Path) -> Callable[..., Feeds]:
    def made(*lines: tuple[float, float]) -> Feeds:
        feeds = Feeds(ledger, tmp_path, *lines)
        feeds.champion()
        return feeds

    return made


def metres(rows: list[Row]) -> list[Row]:
    return [(a, at, km * 1000 if km else km, late) for a, at, km, late in rows]


def gaps(rows: list[Row]) -> list[Row]:
    return [(a, at, None if a % 3 else km, late) for a, at, km, late in rows]


def twice(rows: list[Row]) -> list[Row]:
    return [row for row in rows for _ in range(2)]


def stuck(rows: list[Row]) -> list[Row]:
    return [(a, at, 7.5, late) for a, at, _, late in rows]


def cut_off(rows: list[Row]) -> list[Row]:
    return rows[:400]


def longer(rows: list[Row]) -> list[Row]:
    return [(a, at, (km or 0) + 8, late) for a, at, km, late in rows]


def other_rule(rows: list[Row]) -> list[Row]:
    return [(a, at, km, not late) for a, at, km, late in rows]


class TestTheFeed:
    @pytest.mark.parametrize(
        ("change", "kind"),
        [
            (metres, "unit_change"),
            (gaps, "null_burst"),
            (twice, "duplicated_join"),
            (stuck, "constant_column"),
            (cut_off, "rows_missing"),
        ],
        ids=["unit", "nulls", "rows twice", "constant", "rows missing"],
    )
    def test_what_only_a_broken_feed_does_opens_a_data_incident_and_retrains_nothing(
        self, make: Callable[..., Feeds], change: Callable[[list[Row]], list[Row]], kind: str
    ) -> None:
        feeds = make(POOR)
        decision = feeds.decision(feeds.watch(3, change), on=("decay", "prediction_drift", "input_drift"))
        assert decision.body["action"] == "fix_data"
        assert decision.body["feed_faults"][0]["kind"] == kind
        assert decision.body["reasons"][0].startswith(f"feed rides is broken, {kind.replace('_', ' ')}: ")
        [incident] = feeds.ledger.incidents.open_data(["rides"])
        assert (incident.severity, incident.partition_key) == ("high", "2026-03")
        assert incident.report_id == decision.report_id
        assert not isinstance(feeds.plan(), TrainingPlan)

    @pytest.mark.parametrize("change", [longer, other_rule], ids=["longer rides", "another rule"])
    def test_a_changed_world_retrains(
        self, make: Callable[..., Feeds], change: Callable[[list[Row]], list[Row]]
    ) -> None:
        feeds = make(POOR if change is longer else GOOD)
        decision = feeds.decision(feeds.watch(3, change))
        assert decision.body["action"] == "retrain"
        assert "feed_faults" not in decision.body
        assert feeds.ledger.incidents.open_data(["rides"]) == []

    def test_a_batch_that_comes_again_mended_is_trusted_again(self, make: Callable[..., Feeds]) -> None:
        feeds = make(GOOD)
        feeds.decision(feeds.watch(3, metres))
        feeds.arrives(3)
        assert feeds.ledger.incidents.open_data(["rides"]) == []
        feeds.score("2026-03")

    def test_a_column_may_be_trusted(self, make: Callable[..., Feeds]) -> None:
        feeds = make(GOOD)
        monitor = feeds.watch(3, metres)
        assert feeds.decision(monitor).body["action"] == "fix_data"
        trusting = feeds.decision(monitor, "trusting", trusted_columns=["km"])
        assert "feed_faults" not in trusting.body

    def test_a_decision_that_is_taken_again_is_the_same_one(self, make: Callable[..., Feeds]) -> None:
        feeds = make(GOOD)
        monitor = feeds.watch(3, metres)
        assert feeds.decision(monitor).report_id == feeds.decision(monitor).report_id
        assert len(feeds.ledger.incidents.open_data(["rides"])) == 1


class TestWhen:
    def test_k_of_the_last_m_windows(self, make: Callable[..., Feeds]) -> None:
        feeds = make(GOOD)
        asked = {"k": 2, "m": 3}
        first = feeds.decision(feeds.watch(3, other_rule), **asked)
        assert (first.body["action"], first.body["reasons"][-1]) == (
            "wait",
            "found in 1 of the last 1 windows, asked for are 2 of 3",
        )
        feeds.decision(feeds.watch(4), **asked)
        third = feeds.decision(feeds.watch(5, other_rule), **asked)
        assert third.body["action"] == "retrain"
        assert third.body["reasons"][-1] == "found in 2 of the last 3 windows (asked for: 2 of 3)"

    def test_a_window_whose_feed_was_broken_counts_for_nothing(self, make: Callable[..., Feeds]) -> None:
        feeds = make(GOOD)
        asked = {"k": 2, "m": 2}
        assert feeds.decision(feeds.watch(3, metres), **asked).body["action"] == "fix_data"
        later = feeds.decision(feeds.watch(4, other_rule), **asked)
        assert later.body["reasons"][-1] == "found in 1 of the last 1 windows, asked for are 2 of 2"

    def test_a_decline_that_goes_on_asks_again_unless_told_not_to(self, make: Callable[..., Feeds]) -> None:
        feeds = make(GOOD, POOR)
        once = {"still_in_decline": False}
        assert feeds.decision(feeds.watch(3, other_rule), **once).body["action"] == "retrain"
        feeds.answer("answered")
        monitor = feeds.watch(4, other_rule)
        waits = feeds.decision(monitor, **once)
        assert waits.body["action"] == "wait"
        assert "a decline that goes on does not ask again" in waits.body["reasons"][-1]
        assert feeds.decision(monitor, run="default").body["action"] == "retrain"

    def test_a_batch_that_was_looked_at_again_was_asked_for_all_the_same(
        self, make: Callable[..., Feeds]
    ) -> None:
        feeds = make(GOOD, POOR)
        once = {"still_in_decline": False}
        first = feeds.watch(3, other_rule)
        assert feeds.decision(first, **once).body["action"] == "retrain"
        feeds.answer("answered")
        again = feeds.observe("2026-03", run="again")
        assert again.report_id > first.report_id
        assert feeds.decision(feeds.watch(4, other_rule), **once).body["action"] == "wait"

    def test_the_newest_batch_looked_at_again_asks_once(self, make: Callable[..., Feeds]) -> None:
        feeds = make(GOOD, POOR)
        once = {"still_in_decline": False}
        asked = feeds.decision(feeds.watch(3, other_rule), **once)
        assert asked.body["action"] == "retrain"
        feeds.answer("answered")
        again = feeds.decision(feeds.observe("2026-03", run="again"), run="again", **once)
        assert again.body["action"] == "wait"
        assert f"decision {asked.report_id} of" in again.body["reasons"][-1]

    def test_what_was_found_of_a_replaced_champion_asks_for_nothing(self, make: Callable[..., Feeds]) -> None:
        feeds = make(GOOD, (1.0, -0.08))
        monitor = feeds.watch(3, other_rule)
        assert feeds.decision(monitor).body["action"] == "retrain"
        version = feeds.answer("better")
        feeds.promote("better", feeds.evaluate("better", version.ref))
        late = feeds.decision(monitor, run="late")
        assert late.body["action"] == "wait"
        assert late.body["reasons"][-1] == "ride_late@1 was watched, ride_late@2 is champion"
        assert late.body["facts"] == {}

    def test_interval_and_budget_count_what_was_asked_for_before(self, make: Callable[..., Feeds]) -> None:
        feeds = make(GOOD, POOR)
        feeds.decision(feeds.watch(3, other_rule))
        feeds.answer("answered")
        monitor = feeds.watch(4, other_rule)
        soon = feeds.decision(monitor, "interval", min_interval="P7D")
        assert soon.body["action"] == "wait"
        assert soon.body["reasons"][-1].endswith("ago, and 7.0 days must lie between two")
        spent = feeds.decision(monitor, "budget", budget={"retrainings": 1, "within": "P30D"})
        assert spent.body["reasons"][-1] == (
            "1 retrainings were asked for within 30.0 days, and the budget is 1"
        )
        assert feeds.decision(monitor, "more", budget={"retrainings": 2, "within": "P30D"}).body[
            "action"
        ] == ("retrain")

    def test_a_frozen_day_waits_and_says_why(self, make: Callable[..., Feeds]) -> None:
        feeds = make(GOOD)
        today = datetime.now(UTC).date()
        frozen = [{"first": today - timedelta(1), "last": today + timedelta(1), "why": "the sale"}]
        decision = feeds.decision(feeds.watch(3, other_rule), freeze=frozen)
        assert decision.body["action"] == "wait"
        assert decision.body["reasons"][-1].endswith("(the sale)")

    def test_new_data_asks_without_any_window(self, make: Callable[..., Feeds]) -> None:
        feeds = make(GOOD)
        assert feeds.decision(None, new_batches=1).body["action"] == "wait"
        feeds.arrives(3)
        asked = feeds.decision(None, "again", new_batches=1, new_rows=2000)
        assert (asked.body["action"], asked.body["monitor"]) == ("retrain", None)
        assert asked.body["reasons"] == [
            "1 batches came that the newest version has not learnt from (asked for: 1)",
            "2,000 rows came that the newest version has not learnt from (asked for: 2,000)",
        ]
        plan = feeds.plan()
        assert isinstance(plan, TrainingPlan)
        assert plan.reason_report == asked.report_id

    def test_an_old_champion_asks(self, make: Callable[..., Feeds]) -> None:
        feeds = make(GOOD)
        policy = RetrainPolicy(max_age="PT1S")
        champion = feeds.ledger.versions.find("ride_late@champion")
        standing = standing_of(
            ledger=feeds.ledger, model="ride_late", champion=champion, policy=policy, monitor=None
        )
        assert standing.trained_at == champion.created_at
        assert feeds.decision(None, max_age="PT0.001S").body["action"] == "retrain"

    def test_nothing_to_decide_on_is_said(self, make: Callable[..., Feeds]) -> None:
        feeds = make(GOOD)
        with pytest.raises(SpecError, match="no max_age, new_rows or new_batches"):
            feeds.decision(None)

    def test_without_a_champion_nothing_stands(self, ledger: PostgresLedger, tmp_path: Path) -> None:
        feeds = Feeds(ledger, tmp_path)
        with pytest.raises(NotFoundError):
            feeds.decision(None, max_age="P1D")


class TestHow:
    def asked(self, feeds: Feeds, **policy: Any) -> Report:
        decision = feeds.decision(feeds.watch(3, other_rule), **policy)
        assert decision.body["action"] == "retrain"
        return decision

    def test_a_warm_start_begins_with_the_champion(self, make: Callable[..., Feeds]) -> None:
        feeds = make(GOOD, POOR)
        decision = self.asked(feeds, strategy="warm_start", action="challenger")
        assert decision.body["facts"] == {"strategy": "warm_start", "action": "challenger"}
        version = feeds.answer("warm")
        assert version.facts["guidance"] == {"warm_start": "ride_late@1"}

    def test_distilling_learns_from_the_champion(self, make: Callable[..., Feeds]) -> None:
        feeds = make(GOOD, POOR)
        self.asked(feeds, strategy="distil")
        assert feeds.answer("distilled").facts["guidance"] == {"teacher": "ride_late@1"}

    def test_what_a_person_wrote_stays(self, make: Callable[..., Feeds]) -> None:
        feeds = make(GOOD, POOR)
        self.asked(feeds, strategy="warm_start")
        spec = SPEC.model_copy(update={"warm_start": "ride_late@1"})
        assert feeds.answer("written", spec=spec).facts["spec"]["warm_start"] == "ride_late@1"

    @pytest.mark.parametrize(
        ("action", "aliases"),
        [
            ("register", {"candidate": 2, "challenger": None, "champion": 1}),
            ("challenger", {"candidate": None, "challenger": 2, "champion": 1}),
            ("promote", {"candidate": None, "challenger": None, "champion": 2}),
        ],
    )
    def test_a_better_version_becomes_what_was_asked_for(
        self, make: Callable[..., Feeds], action: str, aliases: dict[str, int | None]
    ) -> None:
        feeds = make(GOOD, (1.0, -0.08))
        asked = self.asked(feeds, action=action)
        version = feeds.answer("better")
        evaluation = feeds.evaluate("better", version.ref)
        assert evaluation.verdict == "pass"
        decision = feeds.promote("better", evaluation)
        assert feeds.aliases() == aliases
        if action != "promote":
            assert decision.body["reasons"][-1].startswith(f"decision {asked.report_id} asked for a ")
