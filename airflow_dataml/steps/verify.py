"""Verify: a contract is run on staged rows, evidence first, verdict last."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from airflow_dataml.core.datasets import next_manifest
from airflow_dataml.core.errors import QualityGateError
from airflow_dataml.core.quality import Verdict
from airflow_dataml.core.refs import AssetNaming, Relation
from airflow_dataml.core.runs import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from airflow_dataml.core.contract import Contract
    from airflow_dataml.core.datasets import StagedPart, Version
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.ports import Ledger, Warehouse
    from airflow_dataml.core.quality import QualityEngine, QualityReport
    from airflow_dataml.core.runs import RunIdentity, TaskRun

log = logging.getLogger(__name__)
Scope = Literal["batch", "result"]


def verify_part(
    *,
    ledger: Ledger,
    warehouse: Warehouse,
    engine: QualityEngine,
    identity: RunIdentity,
    staged: StagedPart,
    contract: Contract,
    scope: Scope = "result",
    references: Mapping[str, str] | None = None,
    data_timestamp: datetime | None = None,
    variables: Mapping[str, str] | None = None,
    timeout_s: float = 600,
) -> Report:
    """Run a contract on a staged part and keep the report, whatever it says.

    :param scope: ``result`` checks what readers would see after publication, ``batch`` the new rows alone.
    :param references: dataset named in ``valid_reference_data`` -> managed dataset whose current version is meant.
    :param data_timestamp: the time freshness is measured against; now unless given.
    :raises QualityGateError: the verdict blocks, and the contract says reject; the report is in the ledger.
    """
    found = {name: ledger.versions.find(ref) for name, ref in (references or {}).items()}
    parent = ledger.versions.alias(staged.asset, "current")
    digest = digest_of(
        part=staged.part_id,
        contract=contract.digest,
        scope=scope,
        parent=parent.version_id if parent and scope == "result" else None,
        references={name: version.version_id for name, version in found.items()},
        variables=dict(variables or {}),
        data_timestamp=data_timestamp,
    )
    run = ledger.runs.begin(identity, input_digest=digest)
    report = ledger.reports.of_fact(run.fact(staged.asset), "check")
    if report is not None and report.verdict == Verdict.ERROR:
        run, report = ledger.runs.renew(run), None
    if report is None:
        with (
            _subject(ledger, warehouse, staged, scope, parent, run) as relation,
            warehouse.engine_connection() as connection,
        ):
            result = engine.verify(
                contract=contract,
                relation=relation,
                connection=connection,
                variables=dict(variables or {}),
                data_timestamp=data_timestamp,
                timeout_s=timeout_s,
                references={name: Relation.parse(version.facts["table"]) for name, version in found.items()},
            )
        body = result.to_dict() | {
            "scope": scope,
            "parent_id": parent.version_id if parent else None,
            "partition_key": staged.partition_key,
            "summary": result.summary(),
            "references": {name: version.ref for name, version in found.items()},
        }
        report = _record(ledger, run, staged, result, body, on_fail=contract.on_fail)
    return _judge(report, staged)


@contextmanager
def _subject(
    ledger: Ledger,
    warehouse: Warehouse,
    staged: StagedPart,
    scope: Scope,
    parent: Version | None,
    run: TaskRun,
) -> Iterator[Relation]:
    """What to look at: the part itself, or for a while a view of what readers would see."""
    part = ledger.versions.part(staged.part_id)
    if scope == "batch" or parent is None:
        yield part.relation
        return
    manifest = next_manifest(ledger.versions.manifest(parent.version_id), part, mode=staged.mode)
    view = Relation(AssetNaming.data_schema, f"verify_{run.fact(staged.asset).digest}")
    warehouse.point_view(view, part.columns, manifest, ours=True)
    try:
        yield view
    finally:
        warehouse.drop_view(view)


def _record(
    ledger: Ledger,
    run: TaskRun,
    staged: StagedPart,
    result: QualityReport,
    body: dict[str, Any],
    *,
    on_fail: str,
) -> Report:
    verdict = Verdict.WARN if result.verdict is Verdict.FAIL and on_fail == "warn" else result.verdict
    blocks = verdict.blocks
    with ledger.transaction():
        report = ledger.reports.add(
            run=run,
            fact=run.fact(staged.asset),
            kind="check",
            verdict=verdict.value,
            body=body,
            part_id=staged.part_id,
        )
        if blocks:
            ledger.incidents.open(
                asset=staged.asset,
                kind="data",
                severity="high",
                title=f"batch {staged.partition_key or staged.part_id} broke its contract",
                report_id=report.report_id,
                partition_key=staged.partition_key,
            )
            ledger.audit.add(
                action="refuse",
                subject=staged.asset,
                run=run,
                detail={"report": report.report_id, "why": body["summary"]},
            )
        ledger.runs.finish(run, state="refused" if blocks else "success")
    return report


def _judge(report: Report, staged: StagedPart) -> Report:
    verdict, summary = Verdict(report.verdict), str(report.body.get("summary", ""))
    if not verdict.blocks:
        log.info("Contract on %s: %s. %s", staged.asset, verdict.value, summary)
        return report
    msg = f"{staged.asset} broke its contract (report {report.report_id}): {summary} Nothing was published."
    raise QualityGateError(msg, report.body)
