from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from airflow_dataml.core.governance import Decision
from airflow_dataml.core.retrain_policy import Freeze
from airflow_dataml.core.retraining import (
    Asked,
    RetrainPolicy,
    Standing,
    Watched,
    decide_retrain,
    limited,
)

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
BAD, QUIET = {"decay": ["loss grew"], "input_drift": []}, {"decay": [], "input_drift": ["x moved"]}


def decided(
    findings: dict[str, list[str]], standing: dict[str, Any] | None = None, **policy: Any
) -> Decision:
    return decide_retrain(
        findings=findings,
        feed_broken=[],
        policy=RetrainPolicy(**policy),
        pending=False,
        standing=Standing(now=NOW, **(standing or {})),
    )


def windows(*bad: bool) -> tuple[Watched, ...]:
    """Earlier windows, newest first; the newest of them has the number 9."""
    return tuple(Watched(9 - i, ("decay",) if one else ("input_drift",)) for i, one in enumerate(bad))


class TestDecide:
    @pytest.mark.parametrize(
        ("findings", "feed", "pending", "action"),
        [
            ({}, [], False, "wait"),
            ({"decay": ["loss grew"]}, [], False, "retrain"),
            ({"prediction_drift": ["scores moved"]}, [], False, "retrain"),
            ({"input_drift": ["x moved"]}, [], False, "wait"),
            ({"decay": ["loss grew"]}, ["feed rides is broken"], False, "fix_data"),
            ({"decay": ["loss grew"]}, [], True, "wait"),
        ],
        ids=["quiet", "decay", "prediction drift", "input drift alone", "broken feed", "already asked for"],
    )
    def test_what_follows(
        self, findings: dict[str, list[str]], feed: list[str], pending: bool, action: str
    ) -> None:
        decision = decide_retrain(
            findings=findings, feed_broken=feed, policy=RetrainPolicy(), pending=pending
        )
        assert decision.action == action
        assert decision.reasons

    @pytest.mark.parametrize("kind", ["input_drift", "estimated_decay", "late", "attribution_drift"])
    def test_a_policy_may_ask_on_anything_that_is_found(self, kind: str) -> None:
        assert decided({kind: ["x"]}, on=(kind,)).action == "retrain"
        assert decided({kind: ["x"]}, on=("decay",)).action == "wait"

    def test_a_retraining_says_how_and_what_for(self) -> None:
        assert decided(BAD, strategy="distil", action="challenger").facts == {
            "strategy": "distil",
            "action": "challenger",
        }


class TestWindows:
    @pytest.mark.parametrize(
        ("earlier", "action"),
        [((), "wait"), ((False, True), "retrain"), ((True,), "retrain"), ((False, False, True), "wait")],
        ids=["the first", "two of three", "two of two so far", "too long ago"],
    )
    def test_two_of_three(self, earlier: tuple[bool, ...], action: str) -> None:
        assert decided(BAD, {"windows": windows(*earlier)}, k=2, m=3).action == action

    def test_a_quiet_window_may_be_one_of_them(self) -> None:
        decision = decided(QUIET, {"windows": windows(True, True)}, k=2, m=3)
        assert decision.reasons == (
            "input_drift: x moved",
            "found in 2 of the last 3 windows (asked for: 2 of 3)",
        )

    @pytest.mark.parametrize(
        ("earlier", "asked", "action"),
        [
            ((True, True), 8, "wait"),
            ((False, True), 8, "retrain"),
            ((True, True), 5, "retrain"),
            ((), 9, "retrain"),
        ],
        ids=["in this decline", "in the one before", "of windows nobody looked at", "of another champion"],
    )
    def test_a_decline_asks_once(self, earlier: tuple[bool, ...], asked: int, action: str) -> None:
        standing = {"windows": windows(*earlier), "asked": (Asked(70, NOW - timedelta(9), asked),)}
        assert decided(BAD, standing, still_in_decline=False).action == action
        assert decided(BAD, standing).action == "retrain"

    @pytest.mark.parametrize(("key", "action"), [("mar", "wait"), ("feb", "retrain"), (None, "retrain")])
    def test_a_batch_is_the_same_whatever_report_it_has_now(self, key: str | None, action: str) -> None:
        looked = (Watched(9, ("decay",), "mar"), Watched(8, ("input_drift",), "feb"))
        standing = {"windows": looked, "asked": (Asked(70, NOW - timedelta(9), 3, key),)}
        assert decided(BAD, standing, still_in_decline=False).action == action

    @pytest.mark.parametrize(
        ("asked", "action"),
        [
            (Asked(70, NOW - timedelta(9), 5, "mar"), "wait"),
            (Asked(70, NOW - timedelta(9), 9), "wait"),
            (Asked(70, NOW - timedelta(9)), "retrain"),
            (Asked(70, NOW - timedelta(9), 5), "retrain"),
        ],
        ids=[
            "by the batch's first look",
            "by the very look",
            "by its age",
            "by its look at another champion",
        ],
    )
    @pytest.mark.parametrize("kinds", [("decay",), ()], ids=["found again", "k of m all the same"])
    def test_a_batch_asks_once(self, asked: Asked, action: str, kinds: tuple[str, ...]) -> None:
        newest = {"monitor": 9, "partition_key": "mar"}
        standing = newest | {"windows": windows(True, True), "asked": (asked,)}
        found = {kind: ["grew"] for kind in kinds}
        assert decided(found, standing, still_in_decline=False, k=2, m=3).action == action


class TestDue:
    def test_age_begins_anew_with_what_was_asked_for(self) -> None:
        old = {"trained_at": NOW - timedelta(40), "champion": "late@2"}
        assert decided({}, old, max_age="P30D").reasons == ("late@2 is 40.0 days old (at most 30.0 days)",)
        recently = old | {"asked": (Asked(70, NOW - timedelta(9)),)}
        assert decided({}, recently, max_age="P30D").action == "wait"
        assert decided({}, old, max_age="P41D").action == "wait"

    def test_new_data(self) -> None:
        came = {"new_rows": 5000, "new_batches": 2}
        assert decided({}, came, new_rows=5000).reasons == (
            "5,000 rows came that the newest version has not learnt from (asked for: 5,000)",
        )
        assert decided({}, came, new_rows=5001, new_batches=3).action == "wait"

    def test_a_broken_feed_has_the_last_word(self) -> None:
        decision = decide_retrain(
            findings={},
            feed_broken=["rides is broken"],
            policy=RetrainPolicy(new_rows=1),
            pending=False,
            standing=Standing(new_rows=9),
        )
        assert decision.action == "fix_data"


class TestHeld:
    @pytest.mark.parametrize(
        ("policy", "why"),
        [
            ({"min_interval": "P3D"}, "decision 70 asked for a retraining 2.0 days ago, and 3.0 days must lie between two"),
            ({"budget": {"retrainings": 2, "within": "P30D"}}, "2 retrainings were asked for within 30.0 days, and the budget is 2"),
            ({"freeze": [{"weekdays": ["tue"]}]}, "2026-03-10 is frozen: on tue"),
            ({"freeze": [{"first": "2026-03-01", "last": "2026-03-10", "why": "sale"}]}, "2026-03-10 is frozen: from 2026-03-01 to 2026-03-10 (sale)"),
        ],
        ids=["too soon", "spent", "weekday", "days"],
    )  # fmt: skip
    def test_it_waits_and_says_why(self, policy: dict[str, Any], why: str) -> None:
        asked = (Asked(70, NOW - timedelta(2)), Asked(60, NOW - timedelta(20)))
        decision = decided(BAD, {"asked": asked}, **policy)
        assert (decision.action, decision.reasons[-1]) == ("wait", why)

    @pytest.mark.parametrize(
        "policy",
        [
            {"min_interval": "P2D"},
            {"budget": {"retrainings": 2, "within": "P20D"}},
            {"freeze": [{"weekdays": ["wed"], "first": "2026-01-01"}, {"last": "2026-03-09"}]},
        ],
        ids=["long enough", "budget", "other days"],
    )
    def test_it_does_not_wait(self, policy: dict[str, Any]) -> None:
        asked = (Asked(70, NOW - timedelta(2)), Asked(60, NOW - timedelta(20)))
        assert decided(BAD, {"asked": asked}, **policy).action == "retrain"


class TestPolicy:
    def test_what_came_later_is_left_out_at_its_default(self) -> None:
        assert RetrainPolicy().model_dump(mode="json") == {"on": ["decay", "prediction_drift"]}
        said = RetrainPolicy(k=2, m=3, min_interval="P7D", freeze=[{"weekdays": ["sun"]}])
        assert RetrainPolicy.model_validate(said.model_dump(mode="json")) == said

    @pytest.mark.parametrize(
        ("policy", "why"),
        [
            ({"on": ["decya"]}, "did you mean 'decay'"),
            ({"k": 3, "m": 2}, "can never be"),
            ({"freeze": [{}]}, "would never retrain"),
            ({"freeze": [{"first": "2026-03-02", "last": "2026-03-01"}]}, "swap the days"),
            ({"max_age": 0}, "longer than nothing"),
            ({"strategy": "again"}, "warm_start"),
        ],
        ids=["finding", "k of m", "for ever", "backwards", "no age", "strategy"],
    )
    def test_what_cannot_be_meant_is_refused(self, policy: dict[str, Any], why: str) -> None:
        with pytest.raises(ValidationError, match=why):
            RetrainPolicy(**policy)

    def test_a_freeze_has_ends(self) -> None:
        freeze = Freeze(first=date(2026, 3, 1), last=date(2026, 3, 2))
        assert [freeze.covers(date(2026, 3, day)) for day in (1, 2, 3)] == [True, True, False]


@pytest.mark.parametrize(
    ("allowed", "action", "expected"),
    [
        ("promote", "promote", "promote"),
        ("challenger", "promote", "keep"),
        ("challenger", "keep", "keep"),
        ("register", "promote", "keep"),
    ],
)
def test_a_promotion_goes_no_further_than_was_asked_for(allowed: str, action: str, expected: str) -> None:
    assert limited(Decision(action, ("x",)), allowed=allowed, asked_by=7).action == expected
