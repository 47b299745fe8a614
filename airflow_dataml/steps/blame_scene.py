"""The scene of an incident: the alarmed batch, what its model was well with, and the leads from one to the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.windows import plan_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from airflow_dataml.core.blame import BlamePolicy
    from airflow_dataml.core.datasets import Part, Version
    from airflow_dataml.core.governance import Incident, Report
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.windows import TrainingPlan

# How far back a report without findings is looked for: mostly it is among the first few.
_PAGES = (20, 200, 1000)


@dataclass(frozen=True, slots=True)
class Known:
    """A dataset as it was when the model was well.

    :param numbers: its versions that the good rows were made from.
    :param parts: by id, the newest last; never those of the alarmed batch.
    """

    numbers: tuple[int, ...] = ()
    parts: Mapping[int, Part] = field(default_factory=dict)

    @property
    def newest(self) -> int:
        """The newest version number; 0 where the dataset was not read."""
        return max(self.numbers, default=0)


@dataclass(frozen=True, slots=True)
class Scene:
    """What an incident is about, and the last good state before it.

    :param parts: the alarmed batch.
    :param quiet: the last report of the same champion without findings; ``None`` where there is none, and the
        training version is what the model was well with.
    :param good_parts: the rows of that window, or those of the training.
    :param good: what those were made from, by dataset.
    """

    incident: Incident
    monitor: Report
    champion: Version
    plan: TrainingPlan
    features: Version
    parts: tuple[Part, ...]
    quiet: Report | None
    good_parts: tuple[Part, ...]
    good: Mapping[str, Known]

    @property
    def batch(self) -> str:
        """The alarmed batch's key."""
        return str(self.monitor.body["partition_key"])

    @property
    def spec(self) -> Mapping[str, Any]:
        """What the champion reads."""
        return dict(self.champion.facts["spec"])

    @property
    def inputs(self) -> dict[str, str]:
        """Columns the champion reads -> ``numeric`` or ``categorical``."""
        return {f["name"]: f["kind"] for f in self.spec["features"]}

    @property
    def reference(self) -> str:
        """What the batch is compared with, in words."""
        if self.quiet is not None:
            return f"batch {self.quiet.body['partition_key']} of {self.quiet.body['features']}"
        return f"the training version {self.plan.version}"


def scene_of(
    *, ledger: Ledger, incident_id: int, policy: BlamePolicy, monitor_id: int | None = None
) -> Scene:
    """Return what an incident is about.

    :param monitor_id: a later report of the model that joined the incident, to explain in place of the first.
    :raises NotFoundError: there is no such incident.
    :raises SpecError: it is not about drift or decay of a model that was trained and scored here.
    """
    incident = ledger.incidents.get(incident_id)
    monitor = ledger.reports.get(monitor_id or incident.report_id)
    body = monitor.body
    if monitor.kind != "monitor" or not {"features", "model", "partition_key"} <= set(body):
        msg = (
            f"incident {incident_id} ({incident.kind} of {incident.asset!r}) rests on a {monitor.kind!r} report: blame "
            "explains drift and decay of a model on a batch that was scored here; its own report says what is wrong."
        )
        raise SpecError(msg)
    if monitor.asset != incident.asset:
        msg = f"report {monitor.report_id} is about {monitor.asset!r} and incident {incident_id} about {incident.asset!r}: give a report of the same model."
        raise SpecError(msg)
    champion, features = (ledger.versions.find(str(body[name])) for name in ("model", "features"))
    plan = plan_of(champion, what=f"explaining incident {incident_id}")
    parts = _of_keys(ledger, features, (str(body["partition_key"]),))
    if not parts:
        msg = f"{features.ref} has no batch {body['partition_key']!r}, which report {monitor.report_id} is about: there are no rows to explain."
        raise SpecError(msg)
    quiet = _quiet(ledger, incident.asset, monitor)
    good_version, keys = _good(ledger, quiet, plan)
    good_parts = _of_keys(ledger, good_version, keys)
    return Scene(
        incident=incident,
        monitor=monitor,
        champion=champion,
        plan=plan,
        features=features,
        parts=parts,
        quiet=quiet,
        good_parts=good_parts,
        good=_upstream(ledger, good_version, good_parts, parts, policy),
    )


def _quiet(ledger: Ledger, asset: str, monitor: Report) -> Report | None:
    """The last report before the alarm that found nothing of the same champion."""
    for limit in _PAGES:
        reports = ledger.reports.recent(asset=asset, kind="monitor", limit=limit)
        for report in reports:
            if (
                report.verdict == "pass"
                and report.report_id < monitor.report_id
                and report.body.get("model") == monitor.body["model"]
                and {"features", "partition_key"} <= set(report.body)
                and report.body["partition_key"] != monitor.body["partition_key"]
            ):
                return report
        if len(reports) < limit:
            break
    return None


def _good(ledger: Ledger, quiet: Report | None, plan: TrainingPlan) -> tuple[Version, tuple[str, ...]]:
    if quiet is not None:
        return ledger.versions.find(str(quiet.body["features"])), (str(quiet.body["partition_key"]),)
    return ledger.versions.by_id(plan.version_id), plan.partitions


def _of_keys(ledger: Ledger, version: Version, keys: Sequence[str]) -> tuple[Part, ...]:
    return tuple(p for p in ledger.versions.manifest(version.version_id) if p.partition_key in keys)


def _upstream(
    ledger: Ledger, version: Version, parts: Iterable[Part], alarmed: Sequence[Part], policy: BlamePolicy
) -> dict[str, Known]:
    """Everything some parts were made from, by dataset; the dataset they are of among it.

    A catch-up loads the alarmed batch next to the good one, so that the versions which the good rows were made from
    hold it too. What is of the alarmed batch is never known, unless the good rows are of a batch of that key.
    """
    bad, keys = {p.part_id for p in alarmed}, {p.partition_key for p in alarmed}
    good = [p for p in parts if p.part_id not in bad]
    keys -= {p.partition_key for p in good} | {None}
    numbers: dict[str, list[int]] = {}
    found: dict[str, dict[int, Part]] = {}

    def know(of: Version) -> Iterator[Part]:
        """Enter a version; yield what it has that no version before had."""
        numbers.setdefault(of.asset, []).append(of.number)
        known = found.setdefault(of.asset, {})
        for part in ledger.versions.manifest(of.version_id, profiles=False):
            fresh = part.part_id not in known and part.part_id not in bad
            if fresh and part.partition_key not in keys:
                known[part.part_id] = part
                yield part

    list(know(version))
    seen = {version.version_id}
    frontier = {i for part in good for i in part.inputs}
    for _ in range(policy.depth):
        frontier -= seen
        seen |= frontier
        frontier = {i for v in sorted(frontier) for p in know(ledger.versions.by_id(v)) for i in p.inputs}
        if not frontier:
            break
    return {
        asset: Known(tuple(numbers[asset]), {p: known[p] for p in sorted(known)})
        for asset, known in found.items()
    }
