"""Observing: which rows a monitor looks at, and what it compares them with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from airflow_dataml.core.errors import NotFoundError, SpecError
from airflow_dataml.core.lineage import version_node
from airflow_dataml.core.monitor_policy import FIRST, PREVIOUS, REPORTED, TRAINING
from airflow_dataml.core.profiles import CELLS, merge_profiles
from airflow_dataml.core.runs import digest_of
from airflow_dataml.core.windows import plan_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from airflow_dataml.core.datasets import Part, Version
    from airflow_dataml.core.lineage import NodeId
    from airflow_dataml.core.monitor_policy import MonitorPolicy
    from airflow_dataml.core.ports import Ledger, Warehouse
    from airflow_dataml.steps.observing_arrivals import Arrival
    from airflow_dataml.steps.observing_labels import Labels

SCORE = "score"


@dataclass(frozen=True, slots=True)
class Window:
    """A scored batch with everything that made it."""

    predictions: Version
    part: Part
    features: Version
    features_parts: tuple[Part, ...]
    champion: Version

    @property
    def rows(self) -> int:
        """Rows of the scored batch."""
        return sum(p.rows for p in self.features_parts)

    @property
    def columns(self) -> tuple[str, ...]:
        """The model's features."""
        return tuple(f["name"] for f in self.champion.facts["spec"]["features"])


@dataclass(frozen=True, slots=True)
class Reference:
    """What a window is compared with.

    :param ref: the dataset version, as ``name@number``.
    :param parts: its batches that count.
    :param scores: the model's scores there, as cells of the histogram from 0 to 1.
    :param batch: the batch alone, where it is one.
    """

    ref: str
    version: Version
    parts: tuple[Part, ...]
    scores: tuple[tuple[int, int], ...]
    batch: str | None = None

    @property
    def profile(self) -> dict[str, Any]:
        """The profile of all its rows."""
        return merge_profiles([p.profile for p in self.parts])


class Watch(Protocol):
    """What a look at a window writes down, whoever counted its rows."""

    @property
    def ledger(self) -> Ledger:
        """Where it is written."""

    @property
    def subject(self) -> str:
        """The asset the report is on."""

    @property
    def policy(self) -> MonitorPolicy:
        """What it is judged by."""

    @property
    def champion(self) -> Version:
        """The version that was watched."""

    @property
    def about(self) -> Version:
        """The version the report is on."""

    @property
    def sources(self) -> Sequence[NodeId]:
        """What was looked at."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look of a monitor: the window, its labels, and the earlier batches whose labels may have come.

    :param subject: the asset the report is on.
    :param now: the time by which predictions and labels may be late.
    """

    ledger: Ledger
    warehouse: Warehouse
    subject: str
    window: Window
    labels: Labels
    earlier: Sequence[Arrival]
    policy: MonitorPolicy
    branch: str | None
    now: datetime

    @property
    def champion(self) -> Version:
        """The version that was watched."""
        return self.window.champion

    @property
    def about(self) -> Version:
        """The version the report is on: on a branch its predictions."""
        return self.window.predictions if self.branch is not None else self.window.champion

    @property
    def sources(self) -> list[NodeId]:
        """What was looked at."""
        window = self.window
        found = [window.predictions, window.features, window.champion]
        if {p.part_id for p in self.labels.parts} != {p.part_id for p in window.features_parts}:
            found.append(self.labels.version)
        return [version_node(one.version_id) for one in found]

    @property
    def input_digest(self) -> str:
        """What the look is at; other labels make it another look."""
        extra: dict[str, Any] = {}
        mine = [p.part_id for p in self.labels.parts]
        if mine != [p.part_id for p in self.window.features_parts]:
            extra["labels"] = mine
        if self.earlier:
            extra["earlier"] = [[p.part_id for p in one.labels.parts] for one in self.earlier]
        policy = self.policy.model_dump(mode="json")
        return digest_of(predictions=self.window.part.part_id, policy=policy, **extra)


def find_window(ledger: Ledger, predictions: str, partition_key: str, branch: str | None) -> Window:
    """Return a scored batch.

    :raises NotFoundError: the batch has not been scored.
    """
    current = ledger.versions.find(predictions, branch=branch)
    manifest = ledger.versions.manifest(current.version_id)
    part = next((p for p in manifest if p.partition_key == partition_key), None)
    if part is None:
        what = f"scored batch of {current.asset}"
        raise NotFoundError.from_available(what, partition_key, [p.partition_key or "" for p in manifest])
    return window_of(ledger, part)


def window_of(ledger: Ledger, part: Part) -> Window:
    """Return the window of a part of predictions."""
    made_in = ledger.versions.bringing(part.part_id)
    if made_in is None:
        what = f"version that brought batch {part.partition_key} of {part.asset}"
        raise NotFoundError.from_available(what, str(part.part_id), ())
    features = ledger.versions.by_id(made_in.facts["features"])
    champion = ledger.versions.by_id(made_in.facts["models"]["champion"])
    sources = tuple(
        p for p in ledger.versions.manifest(features.version_id) if p.partition_key == part.partition_key
    )
    return Window(made_in, part, features, sources, champion)


def earlier_parts(ledger: Ledger, window: Window, *, limit: int) -> list[Part]:
    """Batches of the model that were scored before this one, the newest first."""
    manifest = ledger.versions.manifest(window.predictions.version_id, profiles=False)
    before = [p for p in manifest if p.part_id < window.part.part_id and p.partition_key is not None]
    return sorted(before, key=lambda p: -p.part_id)[:limit]


def find_reference(
    ledger: Ledger, warehouse: Warehouse, window: Window, policy: MonitorPolicy
) -> Reference | None:
    """Return what the policy says to compare with; ``None`` where no batch before can be, see :func:`no_reference`.

    :raises SpecError: a pinned version lacks a feature, or was profiled on other grids.
    """
    if policy.reference in (REPORTED, FIRST):
        msg = f"reference {policy.reference!r} is for windows that were reported as counts, and this one was scored here."
        raise SpecError(msg)
    plan = plan_of(window.champion, what=f"watching {window.champion.asset!r}")
    trained_scores = tuple((cell, n) for cell, n in window.champion.facts["score_cells"] or ())
    if policy.reference == TRAINING:
        version = ledger.versions.by_id(plan.version_id)
        parts = [p for p in ledger.versions.manifest(plan.version_id) if p.partition_key in plan.partitions]
        return Reference(plan.version, version, tuple(parts), trained_scores)
    if policy.reference == PREVIOUS:
        return _previous(ledger, warehouse, window)
    version = ledger.versions.find(policy.reference)
    found = Reference(
        version.ref, version, tuple(ledger.versions.manifest(version.version_id)), trained_scores
    )
    _comparable(found, window)
    return found


def _previous(ledger: Ledger, warehouse: Warehouse, window: Window) -> Reference | None:
    for part in earlier_parts(ledger, window, limit=1):
        before = window_of(ledger, part)
        # Another model's scores say nothing of the data.
        same = before.champion.version_id == window.champion.version_id
        scores = score_cells(warehouse, before.part) if same and window.champion.facts["score_cells"] else ()
        found = Reference(
            before.features.ref, before.features, before.features_parts, scores, before.part.partition_key
        )
        return None if _unlike(found, window) else found
    return None


def no_reference(ledger: Ledger, window: Window) -> str:
    """Why the batch before is no reference, in words."""
    for part in earlier_parts(ledger, window, limit=1):
        before = window_of(ledger, part)
        found = Reference(before.features.ref, before.features, before.features_parts, ())
        return f"batch {part.partition_key} before is no reference: {_unlike(found, window)}"
    return "no batch was scored before: there is nothing to compare with yet"


def _unlike(reference: Reference, window: Window) -> str | None:
    """Why two profiles cannot be compared; ``None`` where they can."""
    try:
        _comparable(reference, window)
    except (NotFoundError, SpecError) as err:
        return str(err)
    return None


def _comparable(reference: Reference, window: Window) -> None:
    """Counts in cells of different grids say nothing about each other."""
    profile, now = reference.profile["columns"], merge_profiles([p.profile for p in window.features_parts])
    for name in window.columns:
        if name not in profile:
            what = f"feature in {reference.ref}"
            raise NotFoundError.from_available(what, name, tuple(profile))
        grids = [side[name].get("grid") for side in (profile, now["columns"])]
        if None not in grids and grids[0] != grids[1]:
            msg = (
                f"{reference.ref} counts {name!r} on the grid {grids[0]}, and {window.features.ref} on {grids[1]}: pin a "
                f"version of {window.features.asset}."
            )
            raise SpecError(msg)


def score_cells(warehouse: Warehouse, part: Part) -> tuple[tuple[int, int], ...]:
    """The champion's scores of a batch as cells of the histogram from 0 to 1."""
    found = warehouse.query(
        f"""SELECT width_bucket({SCORE}, 0, 1, %s) AS cell, count(*) AS n FROM {part.relation.quoted}
            WHERE model_role = 'champion' AND abs({SCORE}) < 'Infinity' GROUP BY 1 ORDER BY 1""",
        [CELLS],
    )
    return tuple((row["cell"], row["n"]) for row in found)


def score_profile(cells: Sequence[Sequence[int]]) -> dict[str, Any]:
    """A profile of scores alone."""
    held = [list(cell) for cell in cells]
    return {
        "rows": sum(n for _, n in held),
        "columns": {SCORE: {"nulls": 0, "grid": [0.0, 1.0], "cells": held}},
    }
