"""Scoring with classes: what predictions have beside the score, and what rules leave of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.core.classes import Answers, classes_of
from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.extras import load
from airflow_dataml.core.humility import ACTIONS, taken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_dataml.core.features import CodedColumn
    from airflow_dataml.core.ports import Scorer

#: The predicted class, whose probability is the score, and the probabilities of all classes by name.
CLASS_COLUMNS = (Column("label", "text"), Column("probabilities", "jsonb"))


def tells_classes(scorers: Mapping[str, Scorer]) -> bool:
    """Whether models of one pass give classes; all of them do, or none.

    :param scorers: by role.
    :raises SpecError: some do and some do not.
    """
    kinds = {role: bool(classes_of(scorer)) for role, scorer in scorers.items()}
    if len(set(kinds.values())) > 1:
        some, others = ([role for role, kind in kinds.items() if kind is wanted] for wanted in (True, False))
        msg = (
            f"{', '.join(some)} gives classes and {', '.join(others)} one score, which do not go into one dataset: "
            "score them into datasets of their own."
        )
        raise SpecError(msg)
    return any(kinds.values())


def after_rules(
    answers: Answers, actions: CodedColumn, columns: Mapping[str, Any], earlier: Scorer | None
) -> Answers:
    """Return the answers after rules on their scores: none where the model abstains, else of whoever answers.

    :param actions: what was done with each row, of ``ACTIONS``.
    :param columns: of the block.
    :param earlier: the champion's previous version, which answers where the action says so.
    """
    np = load("numpy", extra="mlflow")
    found = answers.answered(np.flatnonzero(actions.codes == ACTIONS.index("abstain")), None)
    asked = np.flatnonzero(actions.codes == ACTIONS.index("previous"))
    if earlier is None or not len(asked):
        return found
    said = earlier.score({name: taken(column, asked) for name, column in columns.items()})
    return found.answered(asked, Answers.of(said, classes_of(earlier)))
