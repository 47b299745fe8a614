"""Ledger and registry, brought together: ours is delivered, what others changed is never overwritten unseen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.core.errors import PolicyError, RegistryError, SpecError
from airflow_dataml.core.quality import Verdict
from airflow_dataml.steps.aliases import move_aliases
from airflow_dataml.steps.promote import drain_aliases
from airflow_dataml.steps.reconcile import Reconciled, models_to_reconcile, reconcile_model
from airflow_dataml.testing import InMemoryRegistry
from tests.support import declare, identity

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import Version


class Both:
    """A ledger and a registry with three versions of ``demand``, the second champion in both."""

    def __init__(self, ledger: PostgresLedger, folder: Path) -> None:
        self.ledger, self.registry = ledger, InMemoryRegistry()
        declare(ledger, "demand", kind="model")
        (folder / "model.onnx").write_text("graph")
        self.folder, self.decisions = folder, 0
        self.versions = [self.train(number) for number in (1, 2, 3)]
        self.promote(2)
        self.drain()

    def train(self, number: int) -> Version:
        run = self.ledger.runs.begin(identity("train", str(number)), input_digest="")
        fact = run.fact("demand")
        source, registered = self.register(str(fact))
        facts = {"artifact_digest": "0" * 32, "registry": {"version": registered, "source": source}}
        with self.ledger.transaction():
            return self.ledger.versions.add(run=run, fact=fact, facts=facts)

    def register(self, key: str) -> tuple[str, int]:
        run = self.registry.ensure_run(experiment="e", key=key, name="n", params={}, tags={})
        source = self.registry.log_model(run_id=run.run_id, model_dir=self.folder, numeric=[], categorical=[])
        return source, self.registry.register(
            model="demand", run_id=run.run_id, source=source, key=key, tags={}
        )

    def promote(self, number: int) -> None:
        self.decisions += 1
        run = self.ledger.runs.begin(identity("promote", str(self.decisions)), input_digest="")
        with self.ledger.transaction():
            report = self.ledger.reports.add(
                run=run, fact=run.fact("demand"), kind="decision", verdict=Verdict.PASS, body={}
            )
            moves = {"champion": self.versions[number - 1]}
            move_aliases(self.ledger, run, model="demand", moves=moves, report_id=report.report_id)

    def drain(self) -> int:
        return drain_aliases(ledger=self.ledger, registry=self.registry)

    def outside(self, alias: str, version: int | None) -> None:
        self.registry.set_alias(model="demand", alias=alias, version=version)

    def reconcile(self, run: str = "r", **said: Any) -> Reconciled:
        return reconcile_model(
            ledger=self.ledger,
            registry=self.registry,
            identity=identity("reconcile", run),
            model="demand",
            **said,
        )

    @property
    def champions(self) -> tuple[int | None, int | None]:
        """In the ledger, in the registry."""
        ours = self.ledger.versions.alias("demand", "champion")
        return ours.number if ours else None, self.registry.aliases("demand").get("champion")

    def reports(self) -> list[tuple[str, str]]:
        found = self.ledger.reports.list(asset="demand")
        return [(r.verdict, r.body["summary"]) for r in reversed(found) if r.kind == "registry-drift"]

    def audit(self) -> list[tuple[str, str]]:
        rows = self.ledger.connection.rows(
            "SELECT action, detail ->> 'name' AS name FROM dataml.audit ORDER BY seq"
        )
        return [(row["action"], row["name"]) for row in rows]

    def dead(self) -> list[str]:
        rows = self.ledger.connection.rows(
            "SELECT last_error FROM dataml.outbox WHERE state = 'dead' ORDER BY outbox_id"
        )
        return [row["last_error"] for row in rows]


@pytest.fixture
def both(ledger: PostgresLedger, tmp_path: Path) -> Both:
    return Both(ledger, tmp_path)


def test_what_nobody_changed_leaves_no_trace(both: Both) -> None:
    found = both.reconcile()
    assert (found.delivered, found.outside, found.report) == (0, (), None)
    assert (both.reports(), both.audit(), both.dead()) == ([], [], [])
    assert list(models_to_reconcile(both.ledger)) == ["demand"]


def test_what_the_ledger_decided_is_delivered(both: Both) -> None:
    both.promote(3)
    assert both.reconcile().delivered == 1
    assert both.champions == (3, 3)
    assert both.reports() == []


def test_a_moved_alias_is_written_down_once_and_left(both: Both) -> None:
    both.outside("champion", 1)
    first, again = both.reconcile("r1"), both.reconcile("r2")
    assert [one.said for one in first.new] == ["alias 'champion' is '1', we left '2'"]
    assert (again.new, again.outside) == ((), first.outside)
    assert both.champions == (2, 1)
    assert both.reports() == [("fail", "alias 'champion' is '1', we left '2'")]
    assert both.audit() == [("changed in registry", "champion")]
    assert both.ledger.audit.verify()[1] is None
    body = both.ledger.reports.get(first.report or 0).body
    assert body["differences"][0].keys() == {"what", "name", "ours", "found", "version", "noticed_at"}


def test_a_change_that_ends_and_comes_back_is_written_down_again(both: Both) -> None:
    for run, version in enumerate((1, 2, 1)):
        both.outside("champion", version)
        both.reconcile(str(run))
    assert [verdict for verdict, _ in both.reports()] == ["fail", "pass", "fail"]
    actions = [action for action, _ in both.audit()]
    assert actions == ["changed in registry", "registry difference ended", "changed in registry"]


def test_a_delivery_overwrites_no_change_of_others(both: Both) -> None:
    both.outside("champion", 1)
    both.promote(3)
    assert both.drain() == 0
    assert both.champions == (3, 1)
    assert both.reports() == [("fail", "alias 'champion' is '1', we left '2'")]
    assert "somebody changed it there, so it was left" in both.dead()[0]
    # The next decision does not either, and nothing is written down twice.
    both.promote(2)
    both.drain()
    assert (both.champions, len(both.dead()), len(both.reports())) == ((2, 1), 2, 1)


def test_a_delivery_recreates_no_alias_that_others_removed(both: Both) -> None:
    both.outside("champion", None)
    both.promote(3)
    both.drain()
    assert both.champions == (3, None)


def test_a_delivery_whose_answer_was_lost_is_no_change_of_others(both: Both) -> None:
    both.promote(3)
    both.outside("champion", 3)
    assert (both.drain(), both.reports()) == (1, [])


def test_a_decision_that_was_held_back_goes_out_once_the_change_is_gone(both: Both) -> None:
    both.outside("champion", 1)
    both.promote(3)
    both.drain()
    both.outside("champion", 2)
    found = both.reconcile()
    assert (found.delivered, found.outside, both.champions) == (1, (), (3, 3))


def test_restore_puts_aliases_and_tags_back(both: Both) -> None:
    both.outside("champion", 1)
    both.outside("staging", 2)
    both.promote(3)
    both.registry.set_tag(model="demand", version=2, key="approval", value="yes")
    both.registry.set_tag(model="demand", version=1, key="dataml.source", value="elsewhere")
    both.registry.set_tag(model="demand", version=None, key="team", value="blue")
    found = both.reconcile(on_outside_change="restore")
    assert (found.outside, len(found.settled)) == ((), 5)
    assert both.registry.aliases("demand") == {"champion": 3}
    there = both.registry.registered("demand")
    assert there is not None
    assert (there.tags, "approval" in there.versions[1].tags) == ({}, False)
    assert there.versions[0].tags["dataml.source"] == there.versions[0].source
    assert [verdict for verdict, _ in both.reports()] == ["fail", "pass"]
    restored = sorted(name for action, name in both.audit() if action == "restore in registry")
    assert restored == ["approval", "champion", "dataml.source", "staging", "team"]
    assert both.reconcile("later").outside == ()


def test_adopt_takes_the_change_over_as_a_decision_made_outside(both: Both) -> None:
    both.outside("champion", 1)
    both.outside("staging", 3)
    both.registry.set_tag(model="demand", version=2, key="approval", value="yes")
    both.registry.set_tag(model="demand", version=None, key="team", value="blue")
    found = both.reconcile(on_outside_change="adopt")
    assert (found.outside, len(found.settled), both.champions) == ((), 4, (1, 1))
    assert both.registry.aliases("demand") == {"champion": 1, "staging": 3, "previous": 2}
    decision = both.ledger.reports.latest(asset="demand", kind="decision")
    assert decision is not None
    assert (decision.body["action"], decision.body["facts"]["made"]) == ("adopt_outside", "outside")
    assert both.reconcile("later").to_dict()["outside"] == []
    # What was taken over is ours now: changing it again is noticed again.
    both.registry.set_tag(model="demand", version=2, key="approval", value="no")
    assert [one.said for one in both.reconcile("last").new] == [
        "tag 'approval' of version 2 is 'no', we left 'yes'"
    ]


def test_adopt_brings_a_version_that_others_registered(both: Both) -> None:
    _, number = both.register("notebook")
    both.outside("champion", number)
    recorded = both.reconcile("r1")
    assert [one.said for one in recorded.new] == [
        "version 4 was registered outside",
        "alias 'champion' is '4', we left '2'",
    ]
    assert both.reconcile("r2", on_outside_change="adopt").outside == ()
    champion = both.ledger.versions.alias("demand", "champion")
    assert champion is not None
    assert (champion.ref, champion.facts["adopted"]["loadable"]) == ("demand@4", False)


def test_a_version_that_others_deleted_is_noticed_and_can_be_accepted(both: Both) -> None:
    del both.registry.versions["demand"][0]
    assert [one.said for one in both.reconcile("r1", on_outside_change="restore").outside] == [
        "version 1 was deleted"
    ]
    assert both.reconcile("r2", on_outside_change="adopt").outside == ()
    assert both.reconcile("r3").outside == ()


def test_a_training_that_was_killed_after_registering_is_nobody_else(both: Both) -> None:
    both.register("dag/run/train/-1/demand#1")
    assert both.reconcile().outside == ()


def test_a_registry_that_does_not_answer_changes_nothing(both: Both) -> None:
    both.outside("champion", 1)
    both.registry.down = True
    with pytest.raises(RegistryError):
        both.reconcile()
    assert both.reports() == []


def test_what_cannot_be_is_refused(both: Both) -> None:
    with pytest.raises(PolicyError, match="'overwrite' is unknown: write one of record, restore, adopt"):
        both.reconcile(on_outside_change="overwrite")
    declare(both.ledger, "rides")
    with pytest.raises(SpecError, match="'rides' is a dataset"):
        reconcile_model(ledger=both.ledger, registry=both.registry, identity=identity("x"), model="rides")
