"""Rolling models back in a real ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.core.errors import (
    AliasMovedError,
    AssetNotFoundError,
    SpecError,
    VersionNotFoundError,
)
from airflow_dataml.steps.aliases import move_aliases
from airflow_dataml.steps.model_rollback import ModelRolledBack, roll_back_model
from airflow_dataml.steps.promote import drain_aliases
from airflow_dataml.testing import InMemoryRegistry
from tests.releasing import register_versions
from tests.support import declare, identity

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.ledger import PostgresLedger


@pytest.fixture
def models(ledger: PostgresLedger) -> PostgresLedger:
    """Three versions of one model, the third champion, the second previous."""
    made = register_versions(ledger, "demand", 3)
    run = ledger.runs.begin(identity("before", "x"), input_digest="")
    moves = {"previous": made[1], "challenger": made[0]}
    with ledger.transaction():
        report = ledger.reports.latest(asset="demand", kind="decision")
        assert report is not None
        move_aliases(ledger, run, model="demand", moves=moves, report_id=report.report_id)
    return ledger


def back(ledger: PostgresLedger, run: str = "r1", **said: Any) -> ModelRolledBack:
    given = {"model": "demand", "reason": "too many late rides"} | said
    return roll_back_model(ledger=ledger, identity=identity("back", run), **given)


def standing(ledger: PostgresLedger) -> dict[str, int]:
    found = {name: ledger.versions.alias("demand", name) for name in ("champion", "previous", "challenger")}
    return {name: version.number for name, version in found.items() if version}


def test_the_previous_champion_is_champion_again(models: PostgresLedger) -> None:
    found = back(models)
    assert (found.version.ref, found.left) == ("demand@2", "demand@3")
    assert standing(models) == {"champion": 2, "previous": 3, "challenger": 1}


def test_any_registered_version(models: PostgresLedger) -> None:
    assert back(models, to="demand@1").version.ref == "demand@1"
    # What was its challenger is no challenger of itself.
    assert standing(models) == {"champion": 1, "previous": 3}


def test_twice_returns(models: PostgresLedger) -> None:
    back(models)
    assert back(models, "r2").version.ref == "demand@3"
    assert standing(models) == {"champion": 3, "previous": 2, "challenger": 1}


def test_a_retry_finds_what_was_decided(models: PostgresLedger) -> None:
    assert back(models) == back(models)
    assert standing(models)["champion"] == 2


def test_it_is_a_decision_with_a_reason_in_the_audit_chain(models: PostgresLedger) -> None:
    found = back(models)
    assert (found.report.body["action"], found.report.body["reasons"]) == (
        "roll_back",
        ["too many late rides"],
    )
    entry = models.connection.one("SELECT * FROM dataml.audit ORDER BY seq DESC LIMIT 1")
    assert (entry["action"], entry["subject"], entry["detail"]["left"]) == (
        "roll back",
        "demand@2",
        "demand@3",
    )
    assert models.audit.verify()[1] is None
    assert found.to_dict() == {"version": "demand@2", "left": "demand@3", "report": found.report.report_id}


class Followed(InMemoryRegistry):
    """A registry that remembers only where its aliases were set."""

    def __init__(self) -> None:
        super().__init__()
        self.set: dict[str, int | None] = {}

    def set_alias(self, *, model: str, alias: str, version: int | None) -> None:
        self.set[f"{model}/{alias}"] = version

    def aliases(self, model: str) -> dict[str, int]:
        there = {key.partition("/")[2]: version for key, version in self.set.items()}
        return {alias: version for alias, version in there.items() if version is not None}


def test_the_registry_follows(models: PostgresLedger) -> None:
    back(models, to="demand@1")
    registry = Followed()
    drain_aliases(ledger=models, registry=registry)
    assert registry.set == {"demand/champion": 10, "demand/previous": 30, "demand/challenger": None}


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        ({"reason": " "}, SpecError, "needs a reason"),
        ({"to": "other@1"}, SpecError, "cannot be rolled back to 'other@1'"),
        ({"to": "demand@9"}, VersionNotFoundError, "demand@9"),
        ({"to": "demand@3"}, SpecError, "demand@3 is the champion of 'demand' already"),
        ({"expected": "demand@1"}, AliasMovedError, "is demand@3 and demand@1 was expected"),
        ({"model": "damand"}, AssetNotFoundError, "Did you mean 'demand'"),
        ({"model": "rides"}, SpecError, "'rides' is a dataset and no model"),
    ],
    ids=["reason", "another model", "no version", "champion", "moved", "no model", "dataset"],
)
def test_what_cannot_be_is_refused_and_moves_nothing(
    models: PostgresLedger, said: dict[str, Any], error: type[Exception], message: str
) -> None:
    declare(models, "rides")
    with pytest.raises(error, match=message):
        back(models, **said)
    assert standing(models) == {"champion": 3, "previous": 2, "challenger": 1}


def test_without_a_previous_champion_there_is_no_going_back(ledger: PostgresLedger) -> None:
    register_versions(ledger, "demand", 1)
    with pytest.raises(VersionNotFoundError, match="no previous champion"):
        back(ledger)
