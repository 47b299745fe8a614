"""Quarantine: the rows of a batch that broke row-level checks move out, and the rest is verified again."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_dataml.core.errors import GateError, QualityGateError, SpecError
from airflow_dataml.core.expectations import counts, verdict_of
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.quality import Verdict
from airflow_dataml.core.quarantine import REASONS, SetAside, aside_sentence, refusal, severity
from airflow_dataml.core.refs import AssetNaming, Relation, quote_identifier
from airflow_dataml.core.schemas import evolve
from airflow_dataml.core.stores import Place, Query
from airflow_dataml.steps.examine import tables_of
from airflow_dataml.steps.publish import grids_of
from airflow_dataml.steps.settle import as_rest, close

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.core.datasets import Part, StagedPart
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.quality import QualityReport
    from airflow_dataml.core.quarantine import Quarantined
    from airflow_dataml.core.refs import TaskKey
    from airflow_dataml.core.runs import TaskRun
    from airflow_dataml.core.stores import DatasetStore
    from airflow_dataml.steps.examine import Named, Question, Subject

log = logging.getLogger(__name__)
_BATCH, _BEFORE = "dataml batch", "dataml before"


def require_quarantine(store: DatasetStore, subject: Subject, question: Question) -> None:
    """Refuse a verification that asks for what cannot be done, before any work.

    :raises SpecError: the store keeps no such tables, or a column has the name the reasons need.
    """
    if question.consequence != "quarantine" or subject.batch is None or subject.staged is None:
        return
    source, asset = question.contract.source, subject.asset
    if store.name != "postgres":
        msg = f"{source}: on_fail: quarantine needs a dataset kept in PostgreSQL, and {asset!r} is kept in {store.name}: write reject or warn."
        raise SpecError(msg)
    if question.rules is None:
        msg = (
            f"{source}: on_fail: quarantine needs to know what the contract says of single rows: pass rules=."
        )
        raise SpecError(msg)
    if any(column.name == REASONS for column in subject.batch.columns):
        msg = f"{source}: {asset!r} has a column {REASONS}, which on_fail: quarantine adds: rename it, or write reject or warn."
        raise SpecError(msg)


def published_without(ledger: Ledger, subject: Subject) -> Report | None:
    """Return the report on the rest of a batch that was published without its rows at fault.

    Checking the whole batch once more would find rows that readers do not see, and set them aside twice; a
    replay is what brings them in.
    """
    if subject.part_id is None:
        return None
    for aside in ledger.quarantine.of_part(subject.part_id):
        if version := ledger.versions.bringing(aside.rest_id):
            log.info("The batch was published as %s, without the rows that were set aside; kept", version.ref)
            return ledger.reports.latest(asset=subject.asset, kind="check", part_id=aside.rest_id)
    return None


def left_by_others(ledger: Ledger, staged: StagedPart, task: TaskKey) -> StagedPart:
    """Return a batch as the check of another task left it: without the rows that were set aside.

    A check of the same task, run again, looks at the whole batch.
    """
    for aside in ledger.quarantine.of_part(staged.part_id):
        if aside.state != "discarded" and not _of_task(aside, task):
            return as_rest(staged, ledger.versions.part(aside.rest_id))
    return staged


def set_aside(
    ledger: Ledger,
    store: DatasetStore,
    run: TaskRun,
    *,
    subject: Subject,
    question: Question,
    named: Named,
    found: QualityReport,
) -> SetAside | None:
    """Move the rows at fault of a batch into a table of their own, and the others into a part of their own.

    A merge that leaves a row out leaves its key as it was: the row of that key goes into the new part.
    The caller's transaction holds all of it.

    :param found: what the checks said of the whole batch.
    :returns: what was moved, or why nothing was; ``None`` where there is no call for it.
    """
    staged, part = subject.staged, subject.batch
    asked = question.consequence == "quarantine" and verdict_of(found) is Verdict.FAIL
    if not asked or staged is None or part is None or question.rules is None:
        return None
    if ledger.quarantine.of_rest(part.part_id) is not None:
        return SetAside(refused="rows of this batch were set aside already")
    fact = run.fact(subject.asset).of("clean")
    failed = [check for check in found.checks if check.verdict is Verdict.FAIL and counts(check)]
    try:
        with ledger.transaction(), ExitStack() as stack:
            tables = stack.enter_context(tables_of(ledger, store, named.references, fact))
            said = dict(
                question.rules.conditions(
                    question.contract,
                    variables=question.variables,
                    references=tables,
                    data_timestamp=question.data_timestamp,
                )
            )
            if whole := [check.name for check in failed if check.id not in said]:
                return SetAside(refused=f"{whole[0]} does not speak of single rows")
            conditions = [(check.id, said[check.id]) for check in failed]
            return _move(ledger, store, run, staged, part, question, conditions)
    except (GateError, SpecError) as err:
        # PostgreSQL's own words may quote a value that is masked.
        log.warning("The rows at fault of %s cannot be told apart: %s", subject.name, type(err).__name__)
        return SetAside(refused="the rows at fault could not be told from the others")


def _move(
    ledger: Ledger,
    store: DatasetStore,
    run: TaskRun,
    staged: StagedPart,
    part: Part,
    question: Question,
    conditions: Sequence[tuple[str, str]],
) -> SetAside:
    limits, seconds = question.contract.extension.quarantine, question.timeout_s
    bad = ledger.quarantine.count(part, [sql for _, sql in conditions], timeout_s=seconds)
    replay = bool(ledger.quarantine.replayed_by(part.part_id))
    if why := refusal(limits, bad, part.rows, replay=replay):
        return SetAside(refused=why)
    fact = run.fact(part.asset).of("clean")
    relation = Relation(AssetNaming.data_schema, AssetNaming().fit(part.asset, f"_{fact.digest}_quarantine"))
    moved, reasons = ledger.quarantine.move(part, conditions, into=relation, timeout_s=seconds)
    layout = Layout.from_location(ledger.assets.get(part.asset)["location"])
    new = store.stage(
        fact=fact,
        place=Place(asset=part.asset, location="", layout=layout),
        source=_others(ledger, staged, part, [sql for _, sql in conditions]),
        grids=grids_of(ledger, part.asset),
        on_progress=lambda done: log.info("Setting rows of %s aside: %s", part.asset, done),
    )
    if staged.mode != "merge" and moved + new.fingerprint.rows != part.rows:
        msg = "the contract's conditions say another thing of a row each time they are asked."
        raise GateError(msg)
    rest = ledger.versions.add_part(
        run=run,
        fact=fact,
        part=replace(new, partition_key=part.partition_key, replaces=part.replaces or (part.part_id,)),
        store=store.name,
        inputs=part.inputs,
        parent_id=part.parent_id,
    )
    return SetAside(
        relation=str(relation),
        rows=moved,
        tested=part.rows,
        reasons=reasons,
        severity=severity(limits, moved, part.rows),
        rest_id=rest.part_id,
        mask=tuple(question.contract.extension.samples.mask),
    )


def _others(ledger: Ledger, staged: StagedPart, part: Part, conditions: Sequence[str]) -> Query:
    """The rows of a batch that are not at fault; of a merge, also the rows whose successors are."""
    bad = " OR ".join(f"({condition}) IS TRUE" for condition in conditions)
    batch, before = quote_identifier(_BATCH), quote_identifier(_BEFORE)
    query = f"SELECT * FROM {batch} WHERE NOT ({bad})"
    removed = [ledger.versions.part(part_id) for part_id in staged.removes]
    if not removed:
        return Query(query, {_BATCH: ([part], part.columns)})
    columns = evolve(
        ledger.versions.columns(staged.parent_id) if staged.parent_id is not None else (), part.columns
    )
    keys = ", ".join(map(quote_identifier, staged.keys))
    kept = f"SELECT * FROM {before} WHERE ({keys}) IN (SELECT {keys} FROM {batch} WHERE {bad})"
    return Query(
        f"{query} UNION ALL {kept}",
        {_BATCH: ([part], columns), _BEFORE: (removed, columns)},
    )


def keep_aside(
    ledger: Ledger, run: TaskRun, *, subject: Subject, report: Report, aside: SetAside | None
) -> None:
    """Write down what was set aside because of a report, in the transaction that moved the rows.

    What an earlier check of the same batch set aside is given up: the batch is checked whole each time.
    """
    staged, part = subject.staged, subject.batch
    if staged is None or part is None:
        return
    for one in ledger.quarantine.of_part(part.part_id):
        if one.state == "open" and _of_task(one, run.identity.task):
            note = f"the batch was checked again (report {report.report_id})"
            close(ledger, run, one, state="discarded", note=note)
    if aside is None or aside.refused:
        return
    kept = ledger.quarantine.add(
        run=run,
        fact=run.fact(subject.asset).of("clean"),
        part=part,
        relation=aside.relation,
        rows=aside.rows,
        tested=aside.tested,
        reasons=aside.reasons,
        report_id=report.report_id,
        branch=staged.branch,
    )
    ledger.audit.add(
        action="quarantine",
        subject=subject.asset,
        run=run,
        detail={
            "quarantine": kept.quarantine_id,
            "report": report.report_id,
            "rows": kept.rows,
            "tested": kept.tested,
            "reasons": kept.reasons,
            "partition_key": kept.partition_key,
        },
    )


def verify_rest(ledger: Ledger, run: TaskRun, *, subject: Subject, aside: Quarantined) -> Report:
    """Verify what is left of a batch; if it does not hold either, nothing is set aside and the batch is refused.

    :raises QualityGateError: the rest broke the contract too.
    """
    if subject.staged is None or subject.again is None:
        msg = f"report {aside.report_id} set rows of a staged batch aside, and {subject.name} is none."
        raise SpecError(msg)
    task = run.identity.task
    who = replace(run.identity, task=replace(task, task_id=f"{task.task_id}~rest"))
    rest = as_rest(subject.staged, ledger.versions.part(aside.rest_id))
    try:
        report = subject.again(rest, who)
    except QualityGateError as err:
        if err.report.get("verdict") != Verdict.ERROR.value:
            _give_up(ledger, run, aside)
        raise
    log.warning(
        "%s (quarantine %d): %s",
        aside_sentence(aside.asset, aside.partition_key or f"part {aside.part_id}", aside.rows),
        aside.quarantine_id,
        ", ".join(f"{name} {rows:,}" for name, rows in aside.reasons.items()),
    )
    return report


def _of_task(aside: Quarantined, task: TaskKey) -> bool:
    return aside.fact.startswith(f"{task}/{aside.asset}#")


def _give_up(ledger: Ledger, run: TaskRun, aside: Quarantined) -> None:
    with ledger.transaction():
        current = ledger.quarantine.lock(aside.quarantine_id)
        if current.state == "open":
            note = "the rest of the batch did not hold either, so the batch was refused as a whole"
            close(ledger, run, current, state="discarded", note=note)
        ledger.runs.finish(run, state="refused")
