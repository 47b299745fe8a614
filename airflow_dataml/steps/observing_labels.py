"""Observing labels: how a model really did, as far as its labels are there, and what never came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.evaluation import LOSS_OF_TASK
from airflow_dataml.core.refs import number_sql, quote_identifier
from airflow_dataml.core.row_losses import row_loss_sql
from airflow_dataml.core.statistics import Interval, mean_interval
from airflow_dataml.steps.observing import SCORE, Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.core.datasets import Part, Version
    from airflow_dataml.core.ports import Ledger, Warehouse


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of a window that are there now.

    :param version: what readers of the dataset that holds them see now.
    :param parts: its parts that count.
    :param keys: columns that join them to predictions.
    """

    version: Version
    parts: tuple[Part, ...]
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Realised:
    """How a model did on the rows whose labels are there.

    :param rows: labelled ones.
    :param scored: all that have a score.
    """

    rows: int
    scored: int
    total: float
    squares: float

    @property
    def share(self) -> float:
        """Share of the predictions whose labels are there."""
        return self.rows / self.scored if self.scored else 0.0

    def loss(self, *, level: float, min_rows: int) -> Interval | None:
        """The mean loss; ``None`` with too few rows."""
        if self.rows < max(min_rows, 2):
            return None
        return mean_interval(self.rows, self.total, self.squares, level=level)


def labels_of(
    ledger: Ledger, window: Window, *, keys: Sequence[str], labels: str | None, branch: str | None
) -> Labels:
    """Return where the labels of a window are now.

    :param labels: a dataset that brings labels later; else they are in the scored dataset, whose batch may have been
        published again since.
    """
    head = ledger.versions.find(labels or window.features.asset, branch=branch)
    parts = ledger.versions.manifest(head.version_id, profiles=False)
    mine = tuple(p for p in parts if p.partition_key == window.part.partition_key)
    if labels is not None:
        # Labels may come in batches of their own.
        return Labels(head, mine or tuple(parts), tuple(keys))
    return Labels(head, mine or window.features_parts, tuple(keys))


def released_loss(ledger: Ledger, window: Window) -> Interval | None:
    """The champion's mean loss on the holdout at its release, see :func:`loss_at_release`."""
    return loss_at_release(ledger, window.champion)


def loss_at_release(ledger: Ledger, champion: Version) -> Interval | None:
    """A version's mean loss on the holdout at its release; reports that kept no interval are taken at their word."""
    evaluation = ledger.reports.latest(
        asset=champion.asset, kind="evaluation", version_id=champion.version_id
    )
    if evaluation is None:
        return None
    loss = evaluation.body["challenger"]["loss"]
    estimate = float(loss["estimate"])
    low, high = (estimate if loss.get(side) is None else float(loss[side]) for side in ("low", "high"))
    return Interval(estimate, low, high, float(loss.get("level") or 0), int(loss.get("n") or 0))


def realised(warehouse: Warehouse, window: Window, labels: Labels) -> Realised:
    """Join predictions to labels; one row leaves the database."""
    losses = loss_sql(warehouse, window, labels)
    row = warehouse.query(
        f"""SELECT count(loss) AS n, count(*) AS scored, coalesce(sum(loss), 0) AS total,
                   coalesce(sum(loss * loss), 0) AS squares FROM ({losses}) losses"""
    )[0]
    return Realised(row["n"], row["scored"], float(row["total"]), float(row["squares"]))


def loss_sql(
    warehouse: Warehouse,
    window: Window,
    labels: Labels,
    *,
    beside: Sequence[str] = (),
    formula: str | None = None,
) -> str:
    """SQL of one row per prediction with its ``loss``, null where there is no label or it is no finite number.

    :param beside: columns of the scored dataset that are wanted too, as ``b0`` and so on.
    :param formula: SQL of another loss, of ``y`` and ``score``.
    """
    spec = window.champion.facts["spec"]
    classes = spec["task"] == "multiclass"
    said = "probabilities" if classes else SCORE
    formula = formula or row_loss_sql(LOSS_OF_TASK[spec["task"]], label="y", score=said)
    target = f"{quote_identifier(spec['target'])}::text" if classes else number_sql(spec["target"])
    names = [quote_identifier(k) for k in labels.keys]
    same = " AND ".join(f"p.{name} = l.{name}" for name in names)
    rows = warehouse.union(labels.parts, tuple(dict.fromkeys((*labels.keys, spec["target"]))))
    label = f"SELECT {', '.join(names)}, {target} AS label_read FROM ({rows}) r"
    wanted, join = ", p.probabilities" if classes else "", ""
    if beside:
        more = warehouse.union(window.features_parts, tuple(dict.fromkeys((*labels.keys, *beside))))
        # Outer joins, and a fence that keeps them so: of inner ones over many keys the planner expects one row, and loops.
        join = f"LEFT JOIN ({more}) s ON {' AND '.join(f'p.{name} = s.{name}' for name in names)}"
        wanted += "".join(f", s.{quote_identifier(name)}::text AS b{i}" for i, name in enumerate(beside))
    also = "".join(f", b{i}" for i in range(len(beside)))
    # One NaN would make every sum NaN, which is no more than anything: nothing would ever count as decay.
    finite = f"abs(loss) < 'Infinity' AND abs({SCORE}) < 'Infinity'"
    return f"""SELECT CASE WHEN {finite} THEN loss END AS loss {also} FROM (
               SELECT {formula} AS loss, {SCORE} {also} FROM (
                 SELECT l.label_read AS y, p.{SCORE}{wanted}
                 FROM {window.part.relation.quoted} p LEFT JOIN ({label}) l ON {same} {join}
                 WHERE p.model_role = 'champion' AND p.{SCORE} IS NOT NULL OFFSET 0) joined) measured"""


def performance_body(
    released: Interval | None, found: Realised, now: Interval | None, labels: Labels, window: Window
) -> dict[str, Any]:
    """What a report says of realised performance."""
    body: dict[str, Any] = {
        "released": released.estimate if released else None,
        "released_high": released.high if released else None,
        "now": now.to_dict() if now else None,
        "labelled": found.rows,
        "scored": found.scored,
        "label_share": round(found.share, 6),
    }
    return body | ({"labels": labels.version.ref} if restated(labels, window) else {})


def restated(labels: Labels, window: Window) -> bool:
    """Whether the labels are not those that the batch was scored with."""
    return {p.part_id for p in labels.parts} != {p.part_id for p in window.features_parts}
