from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_dataml.core.datasets import Version
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.windows import TrainingPlan, plan_of

PLAN = TrainingPlan(
    model="demand", dataset="rides", version_id=7, version="rides@2", partitions=("a",), time_column="at",
    key_columns=("id",), cut="2026-01-01", champion=None, reason_report=None, reasons=(),
)  # fmt: skip


def version(kind: str = "model", **facts: Any) -> Version:
    return Version(1, "demand", kind, 3, "f", None, None, None, None, datetime(2026, 1, 1, tzinfo=UTC), facts)


def test_a_plan_is_read_as_it_was_written() -> None:
    assert TrainingPlan.from_dict(PLAN.to_dict()) == PLAN
    assert plan_of(version(plan=PLAN.to_dict(), spec={"x": 1}), what="a test") == PLAN


@pytest.mark.parametrize(
    "found",
    [version(), version(plan=PLAN.to_dict()), version(kind="dataset", plan=PLAN.to_dict(), spec={"x": 1})],
    ids=["adopted", "without a spec", "no model"],
)
def test_what_nobody_trained_here_is_refused_by_name(found: Version) -> None:
    with pytest.raises(SpecError, match="watching needs to know what demand@3 was trained on"):
        plan_of(found, what="watching")


def test_what_is_no_plan_is_refused() -> None:
    with pytest.raises(SpecError, match="a training plan was expected"):
        TrainingPlan.from_dict({"model": "demand"})
