"""Which labelled rows of a scored batch are hard: what the champion got surely wrong, what two versions see apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from airflow_dataml.core.refs import number_sql, quote_identifier

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COLUMNS", "DISAGREED", "TASKS", "WRONG", "HardExamplePolicy", "HardRowsQuery"]

WRONG, DISAGREED = "wrong", "disagreed"
COLUMNS = ("score", "label", "loss", "reason", "model_version", "other_score", "other_version", "batch")
# The smallest probability a log loss is taken of, as everywhere else; by task, the loss that evaluation takes.
_LEAST = "1e-7"
_LOSS_SQL = {
    "binary": f"-ln(CASE WHEN label >= 0.5 THEN greatest(score, {_LEAST}) ELSE greatest(1 - score, {_LEAST}) END)",
    "regression": "(label - score) ^ 2",
}
TASKS = tuple(_LOSS_SQL)


class HardExamplePolicy(BaseModel):
    """Which rows are hard examples.

    :param loss_quantile: a row is ``wrong`` whose loss is larger than that of this share of its batch's labelled
        rows; of a binary model only where its score is on the wrong side of one half.
    :param disagreement: a row is ``disagreed`` where a challenger or another shadow scores so far from the champion:
        in a binary model's scores, and of a regression in standard deviations of the champion's scores in the batch.
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
        return (*kept, "model_score") if self.humble else kept

    def of_batches(self, batches: Sequence[tuple[str, str, str]]) -> str:
        """Return a SELECT of the hard rows of batches, the largest loss first.

        :param batches: of each its key, what its predictions are read from and what its labels are.
        """
        names = ", ".join(map(quote_identifier, self.keys))
        found = "\nUNION ALL\n".join(f"SELECT * FROM ({self.of_batch(*one)}) b" for one in batches)
        return f"""SELECT {names}, {", ".join(COLUMNS)} FROM ({found}) found
                   ORDER BY loss DESC, {names} LIMIT {self.policy.most}"""

    def of_batch(self, batch: str, scored: str, labels: str) -> str:
        """Return a SELECT of the hard rows of one batch."""
        names = ", ".join(map(quote_identifier, self.keys))
        return f"""SELECT {names}, score, label, loss, model_version, other_score, other_version, {_text(batch)} AS batch,
                     concat_ws(' and ', CASE WHEN wrong THEN '{WRONG}' END, CASE WHEN disagreed THEN '{DISAGREED}' END) AS reason
                   FROM ({self._judged(scored, labels)}) judged WHERE wrong OR disagreed"""

    def counts(self, scored: str, labels: str) -> str:
        """Return a SELECT of one row: how many labelled predictions a batch has, and how many of each are hard."""
        return f"""SELECT count(*) AS labelled, count(*) FILTER (WHERE wrong) AS {WRONG},
                     count(*) FILTER (WHERE disagreed) AS {DISAGREED} FROM ({self._judged(scored, labels)}) judged"""

    def _judged(self, scored: str, labels: str) -> str:
        names = ", ".join(map(quote_identifier, self.keys))
        side = "(label >= 0.5) <> (score >= 0.5)" if self.task == "binary" else "true"
        far = self.policy.disagreement
        apart = "abs(other_score - score)"
        if self.task != "binary":
            apart += " / nullif(stddev_pop(score) OVER (), 0)"
        return f"""SELECT {names}, score, label, loss, model_version,
                     CASE WHEN disagreed THEN other_score END AS other_score,
                     CASE WHEN disagreed THEN other_version END AS other_version, wrong, disagreed
                   FROM (
                     SELECT *, percent_rank() OVER (ORDER BY loss) >= {self.policy.loss_quantile!r} AND {side} AS wrong,
                       {"false" if far is None else f"coalesce({apart} >= {far!r}, false)"} AS disagreed
                     FROM (SELECT *, {_LOSS_SQL[self.task]} AS loss
                           FROM ({self._joined(scored, labels)}) joined WHERE label <> 'NaN') lossy
                   ) ranked"""

    def _joined(self, scored: str, labels: str) -> str:
        """One row per labelled prediction of the champion, with the score of the version that is furthest from it."""
        quoted = [quote_identifier(name) for name in self.keys]
        own, same = ", ".join(f"c.{name}" for name in quoted), "USING (" + ", ".join(quoted) + ")"
        score = "coalesce(model_score, score)" if self.humble else "score"
        given = f"SELECT {', '.join(quoted)}, model_version, {score} AS score FROM {scored} p WHERE {score} <> 'NaN' AND"
        return f"""SELECT DISTINCT ON ({own}) {own}, c.model_version, c.score, l.label,
                     o.model_version AS other_version, o.score AS other_score
                   FROM ({given} model_role = 'champion') c
                   JOIN (SELECT {", ".join(quoted)}, {number_sql(self.target)} AS label FROM {labels} r
                         WHERE {quote_identifier(self.target)} IS NOT NULL) l {same}
                   LEFT JOIN ({given} model_role <> 'champion') o {same}
                   ORDER BY {own}, abs(o.score - c.score) DESC NULLS LAST, o.model_version"""


def _text(value: str) -> str:
    """Return a text as SQL; a backslash is itself, as PostgreSQL has it."""
    return "'" + value.replace("'", "''") + "'::text"
