from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_dataml.core.errors import TrainingSpecError
from airflow_dataml.core.governance import Report
from airflow_dataml.core.training import TrainingSpec
from airflow_dataml.core.windows import TrainingPlan
from airflow_dataml.steps.asked import spec_asked_for, strategy_of

SPEC = {"model": "late", "task": "binary", "target": "late", "features": [{"name": "km"}]}


def ledger(strategy: str | None) -> Any:
    """A ledger whose one report asks for a strategy; one of old says nothing of any."""
    facts = {"strategy": strategy, "action": "promote"} if strategy else {}
    report = Report(7, "late", "decision", "fail", {"action": "retrain", "facts": facts}, datetime.now(UTC))
    return SimpleNamespace(reports=SimpleNamespace(get=lambda number: report))


def plan(reason: int | None = 7) -> TrainingPlan:
    return TrainingPlan("late", "rides", 1, "rides@1", ("a",), "at", ("id",), "2026-01-01", 1, reason, ("x",))


@pytest.mark.parametrize(
    ("strategy", "changed"),
    [
        ("same", {}),
        ("retune", {}),
        (None, {}),
        ("warm_start", {"warm_start": "champion"}),
        ("distil", {"distill": {"teacher": "champion", "weight": 0.5}}),
    ],
)
def test_a_strategy_adds_to_the_spec(strategy: str | None, changed: dict[str, Any]) -> None:
    spec = TrainingSpec.from_mapping(SPEC)
    found = spec_asked_for(ledger=ledger(strategy), plan=plan(), spec=spec)
    assert found.model_dump(mode="json") == spec.model_dump(mode="json") | changed


def test_a_training_nobody_asked_for_is_the_usual() -> None:
    assert strategy_of(ledger=ledger("distil"), plan=plan(None)) == "same"


def test_a_spec_that_cannot_is_refused() -> None:
    spec = TrainingSpec.from_mapping(SPEC | {"datamodule": "a.b:C"})
    with pytest.raises(TrainingSpecError, match="give the retrain policy another strategy"):
        spec_asked_for(ledger=ledger("distil"), plan=plan(), spec=spec)
