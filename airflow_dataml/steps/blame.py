"""Blame: the version change upstream that explains an incident, confirmed by scoring without it."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.blame import VERDICTS, BlamePolicy, outcome_of, rank, summary_of
from airflow_dataml.core.errors import NotFoundError, SpecError
from airflow_dataml.core.lineage import Edge, report_node, version_node
from airflow_dataml.core.runs import digest_of
from airflow_dataml.steps.blame_leads import leads_of
from airflow_dataml.steps.blame_replay import Replayer
from airflow_dataml.steps.blame_scene import scene_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.core.blame import Outcome, Suspect
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.ports import Ledger, Warehouse
    from airflow_dataml.core.runs import RunIdentity, TaskRun
    from airflow_dataml.steps.blame_leads import Lead
    from airflow_dataml.steps.blame_scene import Scene
    from airflow_dataml.steps.evaluate import Bench

log = logging.getLogger(__name__)
KIND = "blame"
# What an incident shows; the report has them all.
_SHOWN = 5


def blame_incident(
    *,
    ledger: Ledger,
    warehouse: Warehouse,
    identity: RunIdentity,
    incident: int,
    bench: Bench,
    policy: BlamePolicy | None = None,
    monitor: int | None = None,
) -> Report:
    """Rank the version changes that can explain an incident of a model, and replay them; keep the report.

    Suspects are the versions of every dataset upstream of the alarmed batch that were written since the model was
    last well (its last window without findings, else its training) and before the alarm. Each is judged by how
    far its new rows are from what is usual for their dataset, and by the share of the lost quality, or of the
    shift of the predictions where labels are not there or do not tell, that the champion regains when it scores
    the batch with that one change reverted (``steps.blame_replay``). The ranking is written into the incident.

    :param monitor: a later report of the model that joined the incident, to explain in place of the one that
        opened it.

    The report's verdict: ``fail``, a data cause is confirmed; ``unknown``, there are suspects and none is
    confirmed, or none could be tested; ``pass``, nothing upstream explains it.

    :raises NotFoundError: there is no such incident.
    :raises SpecError: it is not about drift or decay of a model that was trained and scored here.
    """
    policy = policy or BlamePolicy()
    found = ledger.incidents.get(incident)
    run = ledger.runs.begin(
        identity,
        input_digest=digest_of(
            incident=incident, monitor=monitor or found.report_id, policy=policy.model_dump(mode="json")
        ),
    )
    report = ledger.reports.of_fact(run.fact(found.asset), KIND)
    if report is not None:
        log.info("An earlier try explained incident %d (report %d); kept", incident, report.report_id)
        return report
    scene = scene_of(ledger=ledger, incident_id=incident, policy=policy, monitor_id=monitor)
    leads = leads_of(ledger=ledger, scene=scene, policy=policy)
    log.info(
        "Incident %d on %s: %d version changes upstream since %s; each is looked at, and undone where it can be",
        incident,
        scene.features.ref,
        len(leads),
        scene.reference,
    )
    judged, note = _replayed(ledger, warehouse, scene, leads, bench, policy)
    ranked = rank(judged, policy)
    for suspect in ranked:
        log.info("%s", suspect.text)
    outcome = outcome_of(ranked, policy)
    return _record(ledger, run, scene, ranked, outcome, note, policy)


def _replayed(
    ledger: Ledger,
    warehouse: Warehouse,
    scene: Scene,
    leads: Sequence[Lead],
    bench: Bench,
    policy: BlamePolicy,
) -> tuple[list[Suspect], str | None]:
    """Suspects with their replays; where the model cannot be replayed at all, why."""
    if not leads:
        return [], None
    try:
        replayer = Replayer(
            ledger=ledger,
            warehouse=warehouse,
            scene=scene,
            scorer=bench.open(scene.champion),
            policy=policy,
        )
    except (NotFoundError, SpecError) as err:
        note = f"the champion could not score again: {err}"
        return [replace(lead.suspect, why_not=note, tested=False) for lead in leads], note
    return replayer.replay(leads), None


def _record(
    ledger: Ledger,
    run: TaskRun,
    scene: Scene,
    ranked: Sequence[Suspect],
    outcome: Outcome,
    note: str | None,
    policy: BlamePolicy,
) -> Report:
    body: dict[str, Any] = {
        "incident": scene.incident.incident_id,
        "monitor": scene.monitor.report_id,
        "model": scene.champion.ref,
        "features": scene.features.ref,
        "partition_key": scene.batch,
        "reference": scene.reference,
        "outcome": outcome,
        "cause": ranked[0].version if outcome == "confirmed" else None,
        "suspects": [s.to_dict() | {"confirmed": s.confirmed(policy)} for s in ranked],
        "policy": policy.model_dump(mode="json"),
        "note": note,
        "summary": summary_of(ranked, outcome),
    }
    lines = [s.line(policy) for s in ranked[:_SHOWN] if s.possible(policy)]
    shown = lines or [{"outcome": outcome, "evidence": body["summary"]}]
    with ledger.transaction():
        report = ledger.reports.add(
            run=run,
            fact=run.fact(scene.incident.asset),
            kind=KIND,
            verdict=VERDICTS[outcome],
            body=body,
            version_id=scene.champion.version_id,
        )
        node = report_node(report.report_id)
        sources = dict.fromkeys(
            (scene.champion.version_id, scene.features.version_id, *(s.version_id for s in ranked))
        )
        ledger.lineage.add((Edge(version_node(v), node, "evaluated_on") for v in sources), run=run)
        ledger.incidents.suspect(scene.incident.incident_id, shown)
        ledger.runs.finish(run)
    log.info("Incident %d: %s", scene.incident.incident_id, body["summary"])
    return report
