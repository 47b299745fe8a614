"""Asked: what the decision that led to a training asks of it, and of the version it makes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pydantic import ValidationError

from airflow_dataml.core.errors import TrainingSpecError
from airflow_dataml.core.guidance import Distillation
from airflow_dataml.core.retraining import asked_for

if TYPE_CHECKING:
    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.training import TrainingSpec
    from airflow_dataml.core.windows import TrainingPlan

log = logging.getLogger(__name__)


def strategy_of(*, ledger: Ledger, plan: TrainingPlan) -> str:
    """Return how the version is to be made: ``same``, ``retune``, ``warm_start`` or ``distil``; one look at a report."""
    return "same" if plan.reason_report is None else asked_for(ledger.reports.get(plan.reason_report).body)[0]


def spec_asked_for(*, ledger: Ledger, plan: TrainingPlan, spec: TrainingSpec) -> TrainingSpec:
    """Return the spec with what the decision that asked for the training adds; what a person wrote stays.

    :raises TrainingSpecError: the spec cannot be trained like that.
    """
    strategy = strategy_of(ledger=ledger, plan=plan)
    if strategy == "warm_start" and spec.warm_start is None:
        added: dict[str, object] = {"warm_start": "champion"}
    elif strategy == "distil" and spec.distill is None:
        added = {"distill": Distillation()}
    else:
        return spec
    log.info("Decision %s asks for strategy %r", plan.reason_report, strategy)
    changed = spec.model_copy(update=added)
    try:
        return type(spec).model_validate(changed.model_dump(mode="json"))
    except ValidationError as err:
        msg = (
            f"decision {plan.reason_report} asks for strategy {strategy!r}, and the spec of {spec.model!r} cannot be "
            f"trained like that ({err.errors()[0]['msg']}): give the retrain policy another strategy."
        )
        raise TrainingSpecError(msg) from err


def action_asked_for(*, ledger: Ledger, version: Version) -> tuple[int | None, str]:
    """Return the decision that led to a version and what it may become: ``register``, ``challenger`` or ``promote``."""
    report = (version.facts.get("plan") or {}).get("reason_report")
    return (None, "promote") if report is None else (report, asked_for(ledger.reports.get(report).body)[1])
