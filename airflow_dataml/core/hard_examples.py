"""Which labelled rows of a scored batch are hard: what the champion got surely wrong, what two versions see apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from airflow_dataml.core.evaluation import LOSS_OF_TASK
from airflow_dataml.core.refs import number_sql, quote_identifier
from airflow_dataml.core.row_losses import row_loss_sql

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CLASS_COLUMNS", "COLUMNS", "DISAGREED", "TASKS", "WRONG", "HardExamplePolicy", "HardRowsQuery"]

WRONG, DISAGREED = "wrong", "disagreed"
COLUMNS = ("score", "label", "loss", "reason", "model_version", "other_score", "other_version", "batch")
# What such a row of classes has besides: ``label`` is the true class, these are the predicted ones.
CLASS_COLUMNS = ("predicted", "other_predicted")
TASKS = ("binary", "regression", "multiclass")


class HardExamplePolicy(BaseModel):
    """Which rows are hard examples.

    :param loss_quantile: a row is ``wrong`` whose loss is larger than that of this share of its batch's labelled
        rows; of a binary model only where its score is on the wrong side of one half, and of classes only where
        it predicts another one.
    :param disagreement: a row is ``disagreed`` where a challenger or another shadow scores so far from the champion:
        in a binary model's scores, and of a regression in standard deviations of the champion's scores in the batch.
        Of classes, where it predicts another one, and finds the champion's so much less probable.
        ``None`` looks at the champion alone.
    :param most: at most so many rows in all, those with the largest loss.
    :param batches: how many of the newest scored batches that have labels are searched.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    loss_quantile: float = Field(default=0.95, gt=0, lt=1)
    disagreement: float | None = Field(default=0.3, gt=0)
    most: int = Field(default=100_000, ge=1)
    batches: int = Field(default=3, ge=1)


@dataclass(frozen=True, slots=True)
class HardRowsQuery:
    """The SQL that finds the hard rows of batches of one model.

    :param keys: columns that join predictions to labels.
    :param target: the label's column.
    :param humble: whether predictions keep beside the score that was served the one the model gave.
    """

    keys: tuple[str, ...]
    task: str
    target: str
    policy: HardExamplePolicy
    humble: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that are read of predictions."""
        kept = (*self.keys, "model_role", "model_version", "score")
        if self.classed:
            return (*kept, "label", "probabilities", *(("action",) if self.humble else ()))
        return (*kept, "model_score") if self.humble else kept

    @property
    def classed(self) -> bool:
        """Whether the model tells more than two classes apart."""
        return self.task == "multiclass"

    @property
    def made(self) -> tuple[str, ...]:
        """Columns of a hard row after its keys."""
        return (*COLUMNS, *(CLASS_COLUMNS if self.classed else ()))

    def of_batches(self, batches: Sequence[tuple[str, str, str]]) -> str:
        """Return a SELECT of the hard rows of batches, the largest loss first.

        :param batches: of each its key, what its predictions are read from and what its labels are.
        """
        names = ", ".join(map(quote_identifier, self.keys))
        found = "\nUNION ALL\n".join(f"SELECT * FROM ({self.of_batch(*one)}) b" for one in batches)
        return f"""SELECT {names}, {", ".join(self.made)} FROM ({found}) found
                   ORDER BY loss DESC, {names} LIMIT {self.policy.most}"""

    def of_batch(self, batch: str, scored: str, labels: str) -> str:
        """Return a SELECT of the hard rows of one batch."""
        names = ", ".join(map(quote_identifier, self.keys))
        classes = "".join(f", {name}" for name in CLASS_COLUMNS) if self.classed else ""
        return f"""SELECT {names}, score, label, loss, model_version, other_score, other_version{classes}, {_text(batch)} AS batch,
                     concat_ws(' and ', CASE WHEN wrong THEN '{WRONG}' END, CASE WHEN disagreed THEN '{DISAGREED}' END) AS reason
                   FROM ({self._judged(scored, labels)}) judged WHERE wrong OR disagreed"""

    def counts(self, scored: str, labels: str) -> str:
        """Return a SELECT of one row: how many labelled predictions a batch has, and how many of each are hard."""
        return f"""SELECT count(*) AS labelled, count(*) FILTER (WHERE wrong) AS {WRONG},
                     count(*) FILTER (WHERE disagreed) AS {DISAGREED} FROM ({self._judged(scored, labels)}) judged"""

    @property
    def _loss(self) -> str:
        score = "probabilities" if self.classed else "score"
        return row_loss_sql(LOSS_OF_TASK[self.task], label="label", score=score)

    def _judged(self, scored: str, labels: str) -> str:
        names = ", ".join(map(quote_identifier, self.keys))
        far = self.policy.disagreement
        side = {"binary": "(label >= 0.5) <> (score >= 0.5)", "multiclass": "label <> predicted"}
        apart = {"binary": "abs(other_score - score)", "multiclass": "apart"}
        spread = "abs(other_score - score) / nullif(stddev_pop(score) OVER (), 0)"
        classes = ", predicted, CASE WHEN disagreed THEN other_predicted END AS other_predicted"
        return f"""SELECT {names}, score, label, loss, model_version,
                     CASE WHEN disagreed THEN other_score END AS other_score,
                     CASE WHEN disagreed THEN other_version END AS other_version, wrong, disagreed{classes if self.classed else ""}
                   FROM (
                     SELECT *, percent_rank() OVER (ORDER BY loss) >= {self.policy.loss_quantile!r} AND {side.get(self.task, "true")} AS wrong,
                       {"false" if far is None else f"coalesce({apart.get(self.task, spread)} >= {far!r}, false)"} AS disagreed
                     FROM (SELECT *, {self._loss} AS loss
                           FROM ({self._joined(scored, labels)}) joined WHERE {"true" if self.classed else "label <> 'NaN'"}) lossy
                   ) ranked"""

    def _joined(self, scored: str, labels: str) -> str:
        """One row per labelled prediction of the champion, with the score of the version that is furthest from it."""
        quoted = [quote_identifier(name) for name in self.keys]
        own, same = ", ".join(f"c.{name}" for name in quoted), "USING (" + ", ".join(quoted) + ")"
        given = self._given(quoted, scored)
        label, apart, more, kept = number_sql(self.target), "abs(c.other_score - c.score)", "", ""
        if self.classed:
            label, apart = f"{quote_identifier(self.target)}::text", "c.apart"
            said = "coalesce((o.probabilities ->> c.predicted)::double precision, 0)"
            more = f""", c.predicted, c.probabilities, o.predicted AS other_predicted,
                       CASE WHEN o.predicted <> c.predicted THEN c.score - {said} END AS apart"""
            kept = ", c.predicted, c.probabilities, c.other_predicted, c.apart"
        # Joined to the labels first, the champion's rows would count as one for a planner that takes the columns of
        # a key for independent, and every one of them would read all predictions again.
        pairs = f"""SELECT {own}, c.model_version, c.score, o.model_version AS other_version, o.score AS other_score{more}
                     FROM ({given} model_role = 'champion') c
                     LEFT JOIN ({given} model_role <> 'champion') o {same} OFFSET 0"""
        return f"""SELECT DISTINCT ON ({own}) {own}, c.model_version, c.score, l.label, c.other_version, c.other_score{kept}
                   FROM ({pairs}) c
                   JOIN (SELECT {", ".join(quoted)}, {label} AS label FROM {labels} r
                         WHERE {quote_identifier(self.target)} IS NOT NULL) l {same}
                   ORDER BY {own}, {apart} DESC NULLS LAST, c.other_version"""

    def _given(self, keys: Sequence[str], scored: str) -> str:
        """Predictions as the models gave them, whatever a rule put in their place."""
        names = ", ".join(keys)
        if not self.classed:
            score = "coalesce(model_score, score)" if self.humble else "score"
            return (
                f"SELECT {names}, model_version, {score} AS score FROM {scored} p WHERE {score} <> 'NaN' AND"
            )
        # Where a rule let another answer, or nobody, the class that the model predicted was not kept.
        own = "(action IS NULL OR action = 'note') AND" if self.humble else ""
        return f"""SELECT {names}, model_version, score, label AS predicted, probabilities FROM {scored} p
                   WHERE label IS NOT NULL AND {own}"""


def _text(value: str) -> str:
    """Return a text as SQL; a backslash is itself, as PostgreSQL has it."""
    return "'" + value.replace("'", "''") + "'::text"
