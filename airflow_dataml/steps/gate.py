"""Gate: what was found about some rows is kept, and then judged; a retry meets the same evidence."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import QualityGateError
from airflow_dataml.core.expectations import verdict_of
from airflow_dataml.core.quality import Verdict
from airflow_dataml.core.runs import digest_of
from airflow_dataml.steps.examine import Named, examine
from airflow_dataml.steps.quarantine import (
    keep_aside,
    published_without,
    require_quarantine,
    set_aside,
    verify_rest,
)

if TYPE_CHECKING:
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.ports import Ledger, Warehouse
    from airflow_dataml.core.quality import QualityEngine
    from airflow_dataml.core.quarantine import SetAside
    from airflow_dataml.core.runs import RunIdentity, TaskRun
    from airflow_dataml.core.stores import DatasetStore
    from airflow_dataml.steps.examine import Answer, Question, Subject

log = logging.getLogger(__name__)


def gate(
    *,
    ledger: Ledger,
    warehouse: Warehouse,
    store: DatasetStore,
    engine: QualityEngine,
    identity: RunIdentity,
    subject: Subject,
    question: Question,
) -> Report:
    """Run a contract on a subject and keep the report, whatever it says; a retry adopts an earlier try's.

    What could not be evaluated is looked at again by a retry. Where rows at fault were set aside, the report
    returned is that of the others.

    :raises QualityGateError: the verdict blocks; the report is in the ledger.
    """
    require_quarantine(store, subject, question)
    named = Named.find(ledger, question, subject)
    run = ledger.runs.begin(identity, input_digest=_digest(subject, question, named))
    report = ledger.reports.of_fact(run.fact(subject.asset), "check")
    if report is not None and report.verdict == Verdict.ERROR:
        run, report = ledger.runs.renew(run), None
    if report is None and (report := published_without(ledger, subject)):
        ledger.runs.finish(run)
        return report
    if report is None:
        answer = examine(
            ledger=ledger,
            warehouse=warehouse,
            store=store,
            engine=engine,
            subject=subject,
            question=question,
            named=named,
            fact=run.fact(subject.asset),
        )
        with ledger.transaction():
            answer.keep(ledger)
            aside = set_aside(
                ledger, store, run, subject=subject, question=question, named=named, found=answer.report
            )
            report = _record(ledger, run, subject, question, answer, named, aside)
            keep_aside(ledger, run, subject=subject, report=report, aside=aside)
    if kept := ledger.quarantine.of_report(report.report_id):
        return verify_rest(ledger, run, subject=subject, aside=kept)
    return _judge(report, subject)


def _digest(subject: Subject, question: Question, named: Named) -> str:
    said: dict[str, Any] = {
        **subject.digest,
        "contract": question.contract.digest,
        "references": {name: version.version_id for name, version in named.references.items()},
        "variables": dict(question.variables),
        "data_timestamp": question.data_timestamp,
        "compared": named.compared.refs,
    }
    return digest_of(**said, **({"on_fail": question.on_fail} if question.on_fail else {}))


def _record(
    ledger: Ledger,
    run: TaskRun,
    subject: Subject,
    question: Question,
    answer: Answer,
    named: Named,
    aside: SetAside | None,
) -> Report:
    found = verdict_of(answer.report)
    warns = found is Verdict.FAIL and question.consequence == "warn"
    verdict = Verdict.WARN if warns else found
    summary = answer.report.summary()
    rescued = aside is not None and not aside.refused
    if aside is not None and aside.refused:
        summary += f" No row was set aside: {aside.refused}."
    report = ledger.reports.add(
        run=run,
        fact=run.fact(subject.asset),
        kind="check",
        verdict=verdict.value,
        body=answer.report.to_dict()
        | {
            "verdict": found.value,
            "partition_key": subject.partition_key,
            "summary": summary,
            "references": named.refs,
            "mask": list(question.contract.extension.samples.mask),
            **({"samples": dict(answer.samples)} if answer.samples else {}),
            **({"segments": answer.reading.to_dict()} if answer.reading is not None else {}),
            **({"quarantine": aside.to_dict()} if aside is not None else {}),
            **subject.facts,
        },
        part_id=subject.part_id,
        version_id=subject.version_id,
    )
    if verdict.blocks and not rescued:
        _refuse(ledger, run, subject, report, summary)
    elif subject.part_id is None and subject.branch is None:
        _close(ledger, subject, report)
    ledger.runs.finish(run, state="refused" if verdict.blocks and not rescued else "success")
    return report


def _refuse(ledger: Ledger, run: TaskRun, subject: Subject, report: Report, summary: str) -> None:
    if subject.branch is None:
        # On a branch nobody is harmed, and nobody's next batch would end it.
        ledger.incidents.open(
            asset=subject.asset,
            kind="data",
            severity="high",
            title=subject.title,
            report_id=report.report_id,
            partition_key=subject.partition_key,
        )
    ledger.audit.add(
        action="refuse",
        subject=subject.name,
        run=run,
        detail={"report": report.report_id, "why": summary},
    )


def _close(ledger: Ledger, subject: Subject, report: Report) -> None:
    """End what an earlier verification of published rows found; of a staged batch, its publication does."""
    for incident in ledger.incidents.open_data([subject.asset]):
        opened = ledger.reports.get(incident.report_id)
        ours = opened.kind == "check" and opened.part_id is None
        if ours and incident.partition_key == subject.partition_key:
            ledger.incidents.resolve(
                incident.incident_id,
                resolution=f"{subject.name} was verified again and holds (report {report.report_id})",
            )


def _judge(report: Report, subject: Subject) -> Report:
    verdict, summary = Verdict(report.verdict), str(report.body.get("summary", ""))
    if not verdict.blocks:
        log.info("Contract on %s: %s. %s", subject.name, verdict.value, summary)
        return report
    msg = f"{subject.name} broke its contract (report {report.report_id}): {summary} {subject.refusal}"
    raise QualityGateError(msg.rstrip(), report.body | {"asset": report.asset, "report_id": report.report_id})
