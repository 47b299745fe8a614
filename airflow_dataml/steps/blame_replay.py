"""Replay: the champion scores the alarmed batch again, with one version change reverted.

Two ways, the first that can be gone:

*The data made again.* Where the change has earlier rows to put in its place (a batch that was rewritten, a dataset
that was replaced as a whole) or an earlier query, and every step down to the batch was made by a query that the
ledger kept, these queries run once more on the same versions with that one exchanged, into tables of a transaction
that is rolled back. It costs what the queries cost. Rows are compared by key.

*Values mapped back.* A batch that is new has no earlier rows. Its signs say which columns are not as usual; in the
columns the model reads that were made from them, the change is inverted as ``core.blame_replay`` says. Exact for
changes of unit, exchanged flags and renamed categories; what was destroyed is left out. A number that the world
itself moved is mapped back too: with labels that does not mend the loss, so it is not confirmed; without labels
it explains the shift of the predictions, which is then the answer. Labels that only occur at another rate are what
a change of the world looks like: without an exchange of their values or another unit they are left as they came.

Rows are a sample by a hash of their keys, the same keys on both sides.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.blame import Replay
from airflow_dataml.core.blame_replay import (
    Recovered,
    enough_left,
    grew,
    map_numbers,
    recovered_distance,
    recovered_mean,
    renamed,
    rescale,
    swap_flags,
    untouched,
)
from airflow_dataml.core.errors import DataMLError, SpecError
from airflow_dataml.core.extras import load
from airflow_dataml.core.statistics import log_losses, squared_errors
from airflow_dataml.steps.blame_remake import remade
from airflow_dataml.steps.blame_sample import Sample, sample_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.core.blame import BlamePolicy, Suspect
    from airflow_dataml.core.datasets import Part
    from airflow_dataml.core.ports import Ledger, Scorer, Warehouse
    from airflow_dataml.steps.blame_leads import Lead
    from airflow_dataml.steps.blame_scene import Scene

log = logging.getLogger(__name__)
_EXTRA = "monitoring"
_MAPPED = "mapped values"
_LABELS = "labels as they came, neither exchanged nor in another unit"
_LOSSES = {"binary": log_losses, "regression": squared_errors}


@dataclass(frozen=True, slots=True)
class View:
    """The alarmed batch as it would be without a change: what the model then says, and which rows stand for it."""

    how: str
    what: str
    scores: Any
    labels: Any
    weights: Any


class Replayer:
    """Scores the alarmed batch as it is once, and then with each lead reverted.

    :param scorer: the champion.
    :raises SpecError: its scores are not one number a row, or the rows are gone.
    """

    def __init__(
        self, *, ledger: Ledger, warehouse: Warehouse, scene: Scene, scorer: Scorer, policy: BlamePolicy
    ) -> None:
        self._ledger, self._warehouse = ledger, warehouse
        self._scene, self._scorer, self._policy = scene, scorer, policy
        if scene.spec["task"] not in _LOSSES:
            msg = f"a {scene.spec['task']} model is not scored again: its suspects are ranked by their evidence alone."
            raise SpecError(msg)
        self.now = self._sample(scene.parts)
        self.before = self._sample(scene.good_parts, fresh=scene.quiet is None)
        self._scores = {id(side): self._score(side) for side in (self.now, self.before)}

    def replay(self, leads: Sequence[Lead]) -> list[Suspect]:
        """Return the suspects of leads with their replays, or with why there is none.

        All are measured alike: by the loss where it grew, or where reverting any of them mends it; else by the
        predictions, which labels do not speak against.
        """
        if min(len(self.now), len(self.before)) < self._policy.min_rows:
            why = f"fewer than {self._policy.min_rows} rows could be scored again"
            return [lead.suspect.with_replay(None, why) for lead in leads]
        seen = [self._views(lead) for lead in leads]
        losses = self._losses()
        found: list[Replay | None] = []
        if losses is not None:
            found = [self._best([self._by_loss(view, *losses) for view in views]) for views, _ in seen]
            known = ~_isnan(self.now.labels)
            level = self._policy.confidence
            mends = any(one is not None and one.low >= self._policy.share for one in found)
            if not mends and not grew(losses[0][known], reference=losses[1], level=level):
                losses = None
        if losses is None:
            found = [self._best([self._by_predictions(view) for view in views]) for views, _ in seen]
        still = "neither the loss nor the predictions surely moved in the rows scored again"
        return [
            lead.suspect.with_replay(one, None if one else why or (still if views else None))
            for lead, one, (views, why) in zip(leads, found, seen, strict=True)
        ]

    def _views(self, lead: Lead) -> tuple[list[View], str | None]:
        """The batch without a change, in each way it can be reverted; or why in none."""
        why = None
        if lead.instead or lead.query is not None:
            try:
                view = self._made_again(lead)
            except DataMLError as err:
                log.info("%s could not be made again: %s", lead.suspect.version, err)
                view, why = None, f"the batch could not be made again ({err})"
            if view is not None:
                return [view], None
        if not lead.suspect.signs:
            untold = "what it was before is not known, and it shows no sign that could be reverted"
            return [], why or (None if lead.suspect.tested else untold)
        views, reason = self._mapped(lead)
        return views, None if views else why or reason

    @staticmethod
    def _best(replays: Sequence[Replay | None]) -> Replay | None:
        return max((one for one in replays if one), key=lambda one: one.low, default=None)

    def _made_again(self, lead: Lead) -> View | None:
        """The batch made without the change; ``None`` where a query on the way was not kept."""
        with remade(self._ledger, self._warehouse, lead) as parts:
            if parts is None:
                return None
            other = {p.part_id: p for p in parts}
            sample = self._sample([other.get(p.part_id, p) for p in self._scene.parts])
        np = load("numpy", extra=_EXTRA)
        place = {key: at for at, key in enumerate(sample.keys)}
        order = np.array([place.get(key, -1) for key in self.now.keys], dtype=int)
        weights = (order >= 0).astype(float)
        if not enough_left(weights):
            return None
        scores = self._score(sample)[order]
        how = "earlier query" if lead.query is not None else "earlier rows"
        source = f"the earlier rows of {lead.suspect.asset}" if lead.query is None else "the query before"
        return View(how, f"the batch made again with {source}", scores, sample.labels[order], weights)

    def _mapped(self, lead: Lead) -> tuple[list[View], str | None]:
        """The batch with its values mapped back, what was destroyed left out, and each of the two alone."""
        np = load("numpy", extra=_EXTRA)
        columns, labels, told = dict(self.now.columns), self.now.labels, []
        signs = [sign for sign in lead.suspect.signs if sign.kind in ("values", "type")]
        moved = {column for sign in signs for column in lead.columns(sign)}
        for name in sorted(moved):
            target = name == self._scene.spec["target"]
            back = self._label(labels) if target else self._value(name)
            if back is not None:
                told.append(f"values of {name} mapped back")
                labels = back if target else labels
                columns |= {} if target else {name: back}
        weights, left_out = self._untouched(lead)
        out = [f"{what} left out" for what in left_out]
        own, all_rows = self._scores[id(self.now)], np.ones(len(self.now))
        if not told and not out:
            if moved == {self._scene.spec["target"]}:
                return [View(_MAPPED, _LABELS, own, labels, all_rows)], None
            return [], "nothing of it can be told apart in the batch, so nothing can be reverted there"
        mapped = self._score(Sample(columns, labels, self.now.keys)) if told else None
        views = []
        if mapped is not None:
            views.append(View(_MAPPED, "; ".join(told), mapped, labels, all_rows))
        if out and enough_left(weights):
            views.append(View(_MAPPED, "; ".join(out), own, self.now.labels, weights))
            if mapped is not None:
                views.append(View(_MAPPED, "; ".join((*told, *out)), mapped, labels, weights))
        return views, "no row is left that the change did not touch"

    def _label(self, labels: Any) -> Any | None:
        flags = self._scene.spec["task"] == "binary"
        return (swap_flags if flags else rescale)(labels, self.before.labels)

    def _value(self, name: str) -> Any | None:
        np = load("numpy", extra=_EXTRA)
        values, known = self.now.columns[name], self.before.columns[name]
        if self._scene.inputs[name] == "categorical":
            names = renamed(values.tolist(), known.tolist())
            if not names:
                return None
            return np.array([names.get(v, v) for v in values.tolist()], dtype=object)
        if set(np.unique(known[~np.isnan(known)]).tolist()) <= {0.0, 1.0}:
            return swap_flags(values, known)
        return map_numbers(values, known)

    def _untouched(self, lead: Lead) -> tuple[Any, tuple[str, ...]]:
        np = load("numpy", extra=_EXTRA)
        missing = {
            name: (_missing(self.now.columns[name]), float(np.mean(_missing(self.before.columns[name]))))
            for name in lead.suspect.columns
            if name in self.now.columns
        }
        fanned = any(sign.kind in ("rows", "uniqueness") for sign in lead.suspect.signs)
        return untouched(missing, self.now.keys if fanned else range(len(self.now)))

    def _losses(self) -> tuple[Any, float] | None:
        """Loss of each row of the batch as it is, and the mean of the reference; ``None`` without enough labels."""
        loss, sides = _LOSSES[self._scene.spec["task"]], (self.now, self.before)
        known = [~_isnan(side.labels) for side in sides]
        if min(int(k.sum()) for k in known) < self._policy.min_rows:
            return None
        own = [loss(side.labels, self._scores[id(side)]) for side in sides]
        return own[0], float(own[1][known[1]].mean())

    def _by_loss(self, view: View, losses: Any, reference: float) -> Replay | None:
        np = load("numpy", extra=_EXTRA)
        known, here = ~np.isnan(self.now.labels), ~np.isnan(view.labels)
        weights = np.where(here, view.weights, 0.0)[known]
        if not enough_left(weights):
            return None
        back = _LOSSES[self._scene.spec["task"]](np.where(here, view.labels, 0.0), view.scores)
        level = self._policy.confidence
        found = recovered_mean(losses[known], back[known], weights, reference=reference, level=level)
        return _replay(view, "loss", found)

    def _by_predictions(self, view: View) -> Replay | None:
        now, before = (self._scores[id(side)] for side in (self.now, self.before))
        found = recovered_distance(now, view.scores, view.weights, before, level=self._policy.confidence)
        return _replay(view, "predictions", found) if found else None

    def _sample(self, parts: Sequence[Part], *, fresh: bool = False) -> Sample:
        return sample_of(self._warehouse, self._scene, parts, rows=self._policy.rows, fresh=fresh)

    def _score(self, sample: Sample) -> Any:
        np = load("numpy", extra=_EXTRA)
        return np.asarray(self._scorer.score(sample.columns), dtype=float)


def _missing(column: Any) -> Any:
    np = load("numpy", extra=_EXTRA)
    return np.equal(column, None) if column.dtype == object else np.isnan(column)


def _isnan(values: Any) -> Any:
    """Where numbers are missing."""
    return load("numpy", extra=_EXTRA).isnan(values)


def _replay(view: View, measure: str, found: Recovered) -> Replay:
    return Replay(
        view.how,
        view.what,
        measure,
        found.share,
        found.low,
        found.high,
        found.before,
        found.now,
        found.reverted,
        len(view.scores),
    )
