"""The past of a dataset, read from the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.integration.steps.rides import Rides
from tests.support import identity

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.ledger import PostgresLedger


def judged(ledger: PostgresLedger, part_id: int, *verdicts: str) -> None:
    for number, verdict in enumerate(verdicts):
        run = ledger.runs.begin(identity("audit", f"{part_id}-{number}"), input_digest="")
        body = {
            "checks": [{"id": "a", "verdict": verdict, "observed": number}, {"id": "b", "verdict": "pass"}]
        }
        ledger.reports.add(
            run=run, fact=run.fact("rides"), kind="check", verdict=verdict, body=body, part_id=part_id
        )


class TestBatches:
    def test_they_come_oldest_first_with_what_was_asked_for(self, ledger: PostgresLedger) -> None:
        rides = Rides(ledger)
        for key, km in (("2026-01", 1.0), ("2026-02", None)):
            staged = rides.stage([(1, "car", km)], key=key)
            judged(ledger, staged.part_id, "fail", "pass")
            rides.publish(staged)
        first, second = ledger.history.batches("rides", columns=["km"], checks=["a"])
        assert (first.number, first.partition_key, first.rows) == (1, "2026-01", 1)
        assert (first.columns["km"]["nulls"], second.columns["km"]["nulls"]) == (0, 1)
        assert set(first.columns) == {"km"}
        assert "cells" not in first.columns["km"]
        assert first.checks == {"a": {"id": "a", "verdict": "pass", "observed": 1}}
        assert first.published_at < second.published_at

    def test_the_newest_are_kept(self, ledger: PostgresLedger) -> None:
        rides = Rides(ledger)
        for number in range(4):
            rides.publish(rides.stage([(number, "car", 1.0)]))
        assert [batch.number for batch in ledger.history.batches("rides", limit=2)] == [3, 4]

    def test_what_was_never_current_is_not_among_them(self, ledger: PostgresLedger) -> None:
        rides = Rides(ledger)
        rides.publish(rides.stage([(1, "car", 1.0)]))
        rides.stage([(2, "car", 1.0)])
        assert [batch.number for batch in ledger.history.batches("rides")] == [1]

    def test_a_dataset_without_a_past_has_none(self, ledger: PostgresLedger) -> None:
        assert ledger.history.batches("rides") == []


class TestPublications:
    def test_going_back_is_no_publication(self, ledger: PostgresLedger) -> None:
        rides = Rides(ledger)
        versions = [rides.publish(rides.stage([(number, "car", 1.0)])) for number in range(3)]
        run = ledger.runs.begin(identity("back"), input_digest="")
        for version in (versions[0], versions[2]):
            ledger.versions.move_alias(asset="rides", name="current", version_id=version.version_id, run=run)
        found = ledger.history.publications("rides")
        assert (len(found.times), found.newest) == (3, 3)
        assert list(found.times) == sorted(found.times)
        assert found.times[-1] < found.now

    def test_the_newest_are_kept(self, ledger: PostgresLedger) -> None:
        rides = Rides(ledger)
        for number in range(4):
            rides.publish(rides.stage([(number, "car", 1.0)]))
        found = ledger.history.publications("rides", limit=2)
        assert (len(found.times), found.newest) == (2, 4)

    def test_a_dataset_without_a_past_has_none(self, ledger: PostgresLedger) -> None:
        found = ledger.history.publications("rides")
        assert (found.times, found.newest) == ((), None)
