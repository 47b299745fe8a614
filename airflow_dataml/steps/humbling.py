"""Humbling: rules on the champion's predictions, with what it met in training and who answers in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataml.core.classes import classes_of, one_score
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.humility import Humility
from airflow_dataml.steps.scoring import CHAMPION, reads, seen_in_training

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from airflow_dataml.core.humility import HumilityRule
    from airflow_dataml.core.ports import Ledger, Scorer
    from airflow_dataml.steps.evaluate import Bench
    from airflow_dataml.steps.scoring import Panel


def humility_for(
    *, ledger: Ledger, panel: Panel, rules: Sequence[HumilityRule], model: str, bench: Bench
) -> tuple[Humility | None, Scorer | None]:
    """Return what applies rules, and the champion's previous version where one abstains in its favour.

    Of classes, the score that rules look at is the probability of the predicted one.

    :raises SpecError: a rule is on a feature nothing is known of, or overrides the score of a class.
    """
    if not rules:
        return None, None
    classed = bool(classes_of(panel.scorers[CHAMPION]))
    if classed and (overriding := [rule.name for rule in rules if rule.action == "override"]):
        msg = (
            f"humility rule {overriding[0]!r} writes a score, and {panel.versions[CHAMPION].ref} gives classes, whose "
            "probabilities it would contradict: use the action note or abstain."
        )
        raise SpecError(msg)
    before = ledger.versions.alias(model, "previous")
    asked = any(rule.action == "abstain" for rule in rules)
    another = before is not None and before.version_id != panel.versions[CHAMPION].version_id
    earlier = (
        bench.open(before) if asked and another and before is not None and reads(panel, before) else None
    )
    if earlier is not None and bool(classes_of(earlier)) != classed:
        earlier = None

    def said(columns: Mapping[str, Any]) -> Any:
        return one_score(earlier.score(columns)) if earlier is not None else None

    found = Humility(
        rules,
        seen_in_training(ledger, panel),
        previous=said if earlier is not None else None,
        asked_of=before.ref if earlier is not None and before is not None else None,
    )
    return found, earlier
