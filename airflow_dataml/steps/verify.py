"""Verify: a contract is run on a staged part, a published version or a table nobody publishes here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from airflow_dataml.core.errors import ContractError
from airflow_dataml.steps.examine import Question, Subject
from airflow_dataml.steps.gate import gate
from airflow_dataml.steps.manifests import outcome_of
from airflow_dataml.steps.quarantine import left_by_others
from airflow_dataml.steps.read import require_rows

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow_dataml.core.contract import Contract
    from airflow_dataml.core.contract_extension import OnFail
    from airflow_dataml.core.datasets import Part, StagedPart, Version
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.ports import Ledger, Warehouse
    from airflow_dataml.core.ports_quarantine import RowRules
    from airflow_dataml.core.quality import QualityEngine
    from airflow_dataml.core.refs import Relation
    from airflow_dataml.core.runs import RunIdentity
    from airflow_dataml.core.stores import DatasetStore
    from airflow_dataml.steps.examine import Manifest

Scope = Literal["batch", "result"]


def verify_part(
    *,
    ledger: Ledger,
    warehouse: Warehouse,
    store: DatasetStore,
    engine: QualityEngine,
    identity: RunIdentity,
    staged: StagedPart,
    contract: Contract,
    scope: Scope = "result",
    references: Mapping[str, str] | None = None,
    data_timestamp: datetime | None = None,
    variables: Mapping[str, str] | None = None,
    timeout_s: float = 600,
    on_fail: OnFail | None = None,
    rules: RowRules | None = None,
) -> Report:
    """Run a contract on a staged part and keep the report, whatever it says.

    With an engine that merges measurements, verifying the result of an append reads the append alone.

    :param scope: ``result`` checks what readers would see after publication, ``batch`` the new rows alone.
    :param references: dataset named in ``valid_reference_data`` -> the version of a managed dataset that is meant.
    :param data_timestamp: the time freshness is measured against; now unless given.
    :param on_fail: what a broken contract leads to; the contract's own word unless given.
    :param rules: what the contract says of single rows: for samples, and for ``on_fail: quarantine``, where the
        report returned is that of the rows that are left.
    :raises QualityGateError: the verdict blocks, and the contract says reject; the report is in the ledger.
    """
    return _verify_batch(
        ledger=ledger,
        warehouse=warehouse,
        store=store,
        engine=engine,
        identity=identity,
        staged=left_by_others(ledger, staged, identity.task),
        scope=scope,
        question=Question(
            contract, references or {}, data_timestamp, variables or {}, timeout_s, on_fail, rules
        ),
    )


def _verify_batch(
    *,
    ledger: Ledger,
    warehouse: Warehouse,
    store: DatasetStore,
    engine: QualityEngine,
    identity: RunIdentity,
    staged: StagedPart,
    scope: Scope,
    question: Question,
) -> Report:
    part = ledger.versions.part(staged.part_id)
    parent = ledger.versions.head(staged.asset, branch=staged.branch)
    on_top_of = parent.version_id if parent else None
    by: dict[str, Any] = {"ledger": ledger, "warehouse": warehouse, "store": store, "engine": engine}

    def manifest() -> Manifest:
        if scope == "batch":
            return part.columns, (part,)
        block = question.contract.extension
        outcome = outcome_of(ledger, staged, profiles=bool(block.anomalies or block.distributions))
        return outcome.columns, outcome.parts

    subject = Subject(
        asset=staged.asset,
        name=staged.asset,
        manifest=manifest,
        digest={
            "part": staged.part_id,
            "scope": scope,
            "parent": on_top_of if scope == "result" else None,
        },
        facts={"scope": scope, "parent_id": on_top_of, **_left_out(ledger, part)},
        batch=part,
        before=parent,
        branch=staged.branch,
        partition_key=staged.partition_key,
        part_id=staged.part_id,
        title=f"batch {staged.partition_key or staged.part_id} broke its contract",
        refusal="Nothing was published.",
        staged=staged,
        again=lambda rest, who: _verify_batch(
            **by, identity=who, staged=rest, scope=scope, question=question
        ),
    )
    return gate(**by, identity=identity, subject=subject, question=question)


def verify_version(
    *,
    ledger: Ledger,
    warehouse: Warehouse,
    store: DatasetStore,
    engine: QualityEngine,
    identity: RunIdentity,
    ref: str,
    question: Question,
    branch: str | None = None,
) -> Report:
    """Run a contract on a published version and keep the report with it, whatever it says.

    Clearing the task looks again; a retry adopts what its earlier try found. With an engine that merges
    measurements, parts that were verified under the same contract are not read again.

    :param ref: ``name`` is what readers see, ``name@number`` and the like any retained version.
    :param branch: where a bare name is looked for first.
    :raises QualityGateError: the verdict blocks; the report is in the ledger, and readers see the version still.
    :raises VersionNotFoundError: there is no such version, or its rows were collected.
    """
    version = ledger.versions.find(ref, branch=branch)
    parts = ledger.versions.manifest(version.version_id)
    require_rows(version, parts)
    columns = ledger.versions.columns(version.version_id)
    brought = version.facts.get("part_id")
    subject = Subject(
        asset=version.asset,
        name=version.ref,
        manifest=lambda: (columns, parts),
        digest={"version": version.version_id, "asked": identity.max_tries},
        facts={"scope": "version", "version": version.ref},
        batch=ledger.versions.part(brought) if brought is not None else None,
        whole=True,
        before=_before(ledger, version),
        branch=branch,
        partition_key=version.partition_key,
        version_id=version.version_id,
        number=version.number,
        title=f"{version.ref} broke its contract",
        refusal="Readers see it still: correct it with a new batch, or roll back.",
    )
    return gate(
        ledger=ledger,
        warehouse=warehouse,
        store=store,
        engine=engine,
        identity=identity,
        subject=subject,
        question=question,
    )


def verify_table(
    *,
    ledger: Ledger,
    warehouse: Warehouse,
    store: DatasetStore,
    engine: QualityEngine,
    identity: RunIdentity,
    asset: str,
    relation: Relation,
    question: Question,
) -> Report:
    """Run a contract on a table that nobody publishes through the ledger, and keep the report, whatever it says.

    :param warehouse: where the table is.
    :param asset: the table's entry in the catalog.
    :raises ContractError: the contract asks for what only versions have.
    :raises QualityGateError: the verdict blocks; the report is in the ledger.
    """
    block = question.contract.extension
    if block.anomalies or block.distributions:
        msg = (
            f"{question.contract.source}: anomalies and distributions are found in the profiles of versions, and "
            f"{relation} has none: take snapshots of it, or leave them out."
        )
        raise ContractError(msg)
    subject = Subject(
        asset=asset,
        name=str(relation),
        manifest=lambda: ((), ()),
        digest={"table": str(relation), "asked": identity.max_tries},
        relation=relation,
        facts={"scope": "table"},
        title=f"{relation} broke its contract",
    )
    return gate(
        ledger=ledger,
        warehouse=warehouse,
        store=store,
        engine=engine,
        identity=identity,
        subject=subject,
        question=question,
    )


def _left_out(ledger: Ledger, part: Part) -> dict[str, Any]:
    """What a report says of the rest of a batch whose rows at fault were set aside."""
    aside = ledger.quarantine.of_rest(part.part_id)
    if aside is None:
        return {}
    said = {"id": aside.quarantine_id, "rows": aside.rows, "tested": aside.tested, "reasons": aside.reasons}
    return {"left_out": said}


def _before(ledger: Ledger, version: Version) -> Version | None:
    earlier = ledger.versions.list(version.asset, before=version.number, limit=1)
    return earlier[0] if earlier else None
