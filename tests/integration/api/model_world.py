"""A model with a life behind it, lived by the steps themselves: two challengers, months of windows, an alarm and what followed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataml.core.windows import TrainingPlan
from tests.integration.steps.test_models import GOOD, POOR, Deployment

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger

# The second challenger knows what the champion knows, and so stays a challenger.
LINES = (POOR, GOOD, GOOD)


def live(ledger: PostgresLedger, folder: Path, *, months: int = 6) -> Deployment:
    """``ride_late`` is trained, beaten, watched for some months, and its rides get longer in the last two."""
    life = Deployment(ledger, folder, *LINES)
    life.first_champion()
    challenger, evaluation = life.challenge()
    life.promote("second", evaluation)
    for month in range(3, 3 + months):
        life.ingest(month, longer=4.0 if month > months else 0.2 * (month - 3))
        key = f"2026-{month:02d}"
        life.score(key)
        life.decide(key, life.observe(key))
    third = life.train("third", TrainingPlan.from_dict(challenger.facts["plan"]))
    life.promote("third", life.evaluate("third", third.ref))
    return life
