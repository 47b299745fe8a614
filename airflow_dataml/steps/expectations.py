"""Expectations: our own checks of a contract, beside the engine's."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.contract_expectations import CURRENT_WORDS
from airflow_dataml.core.errors import NotFoundError, SpecError
from airflow_dataml.core.expectations import (
    Dangling,
    age,
    judge_anomaly,
    judge_distribution,
    judge_reference,
    measure,
    unanswered,
)
from airflow_dataml.core.history import observed, points_of
from airflow_dataml.core.profiles import merge_profiles
from airflow_dataml.core.quality import Verdict
from airflow_dataml.core.refs import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.core.contract import Contract
    from airflow_dataml.core.contract_expectations import AnomalyCheck, DistributionCheck, ReferenceCheck
    from airflow_dataml.core.contract_extension import Samples
    from airflow_dataml.core.datasets import Part, Version
    from airflow_dataml.core.history import PastBatch
    from airflow_dataml.core.ports import Ledger, Warehouse
    from airflow_dataml.core.quality import CheckResult
    from airflow_dataml.core.refs import Relation
    from airflow_dataml.core.stores import DatasetStore, Grids

log = logging.getLogger(__name__)
_MASKED = "***"


@dataclass(frozen=True, slots=True)
class Compared:
    """Versions that a contract's own block names, as they stand when the verification begins.

    :param versions: reference as the contract writes it -> version; a dataset's first batch has no previous one.
    :param tables: those of them whose rows are read, under names of their own.
    """

    versions: dict[str, Version] = field(default_factory=dict)
    tables: dict[str, Version] = field(default_factory=dict)

    @property
    def refs(self) -> dict[str, str]:
        """Exact versions by the reference in the contract."""
        return {name: version.ref for name, version in self.versions.items()}


def compared(ledger: Ledger, contract: Contract, *, before: Version | None, branch: str | None) -> Compared:
    """Find the versions that a contract's own block names.

    :param before: what readers saw before what is verified.
    :raises NotFoundError: a dataset or version that does not exist, with the closest names.
    """
    block = contract.extension
    versions: dict[str, Version] = {}
    for ref in (check.reference for check in block.distributions):
        if ref not in CURRENT_WORDS:
            versions[ref] = ledger.versions.find(ref, branch=branch)
        elif before is not None:
            versions[ref] = before
    tables = {check.dataset: ledger.versions.find(check.dataset, branch=branch) for check in block.references}
    return Compared(versions | tables, {_table(ref): version for ref, version in tables.items()})


def evaluate(
    *,
    ledger: Ledger,
    warehouse: Warehouse,
    store: DatasetStore,
    contract: Contract,
    batch: Part | None,
    parts: Sequence[Part],
    relation: Relation,
    compared: Compared,
    tables: Mapping[str, Relation],
    found: Sequence[CheckResult],
    moment: datetime | None = None,
    number: int | None = None,
) -> list[CheckResult]:
    """Run the checks of a contract's own block.

    Anomalies and distributions cost no scan: they are read from profiles. References are looked up for every
    row of ``relation``.

    :param batch: the rows that anomalies are looked for in; without any, an anomaly check has nothing to measure.
    :param parts: the rows whose distributions are compared.
    :param relation: what the engine looked at.
    :param tables: tables of ``compared``, readable.
    :param found: what the engine found; anomalies of its checks are read from it.
    :param moment: the time freshness is measured against; now unless given.
    :param number: of the version the batch came with, if it is published; it and later ones are not its past.
    """
    block = contract.extension
    moment = moment or datetime.now(UTC)
    past = [] if batch is None else _past(ledger, batch.asset, block.anomalies)
    past = [then for then in past if number is None or then.number < number]
    results = [
        unanswered(check, Verdict.UNKNOWN, "this version brought no batch")
        if batch is None
        else _anomaly(check, batch, past, found, moment)
        for check in block.anomalies
    ]
    results += [
        _distribution(ledger, store, check, parts, compared, block.samples) for check in block.distributions
    ]
    results += [
        _reference(
            warehouse,
            check,
            relation,
            tables[_table(check.dataset)],
            compared.refs[check.dataset],
            block.samples,
        )
        for check in block.references
    ]
    return results


def _past(ledger: Ledger, asset: str, checks: Sequence[AnomalyCheck]) -> list[PastBatch]:
    """Everything the checks learn from, read once."""
    if not checks:
        return []
    return ledger.history.batches(
        asset,
        columns=sorted({check.column for check in checks if check.column}),
        checks=sorted({name for check in checks for name in (check.id, check.check) if name}),
        limit=max(check.window for check in checks),
    )


def _anomaly(
    check: AnomalyCheck,
    part: Part,
    past: Sequence[PastBatch],
    found: Sequence[CheckResult],
    moment: datetime,
) -> CheckResult:
    points, at = points_of(
        past[-check.window :],
        lambda batch: _then(check, batch),
        anomaly=check.id,
        partition_key=part.partition_key,
        now=moment,
    )
    value = _now(check, part, found, moment)
    why = f"{check.subject} was not measured in this batch: {_why(check, part)}" if value is None else ""
    return judge_anomaly(check, value, points, at=at, why=why)


def _then(check: AnomalyCheck, batch: PastBatch) -> float | None:
    """The number of a past batch."""
    if check.check is not None:
        return observed(batch, check.check)
    column = batch.columns.get(check.column or "")
    if check.function == "freshness":
        # What was measured then was measured against the same clock; the profile alone knows when it came.
        seen = observed(batch, check.id)
        return age(column, batch.published_at) if seen is None else seen
    return measure(column, batch.rows, str(check.function))


def _now(check: AnomalyCheck, part: Part, found: Sequence[CheckResult], moment: datetime) -> float | None:
    """The number of this batch."""
    if check.check is not None:
        value = next((result.observed for result in found if result.id == check.check), None)
        return float(value) if isinstance(value, int | float) else None
    column = part.profile.get("columns", {}).get(check.column)
    if check.function == "freshness":
        return age(column, moment)
    return measure(column, part.rows, str(check.function))


def _why(check: AnomalyCheck, part: Part) -> str:
    if check.check is not None:
        return "the check was not evaluated"
    column = part.profile.get("columns", {}).get(check.column)
    if column is None:
        return f"the batch has no column {check.column!r}"
    return f"column {check.column!r} is {column['type']} and has {part.rows - column['nulls']} values"


def _distribution(
    ledger: Ledger,
    store: DatasetStore,
    check: DistributionCheck,
    parts: Sequence[Part],
    compared: Compared,
    samples: Samples,
) -> CheckResult:
    version = compared.versions.get(check.reference)
    if version is None:
        return unanswered(check, Verdict.UNKNOWN, "there is no earlier version to compare with")
    known = [
        p.profile
        for p in ledger.versions.manifest(version.version_id)
        if check.column in p.profile.get("columns", {})
    ]
    rows = [part for part in parts if check.column in part.profile.get("columns", {})]
    if not known or not rows:
        where = version.ref if not known else "what is verified"
        return unanswered(check, Verdict.ERROR, f"column {check.column!r} has no profile in {where}")
    reference = merge_profiles(_slices(known, check.column))
    grid = reference["columns"][check.column].get("grid")
    profiles = [_on_edges(store, part, check.column, grid) for part in rows]
    current = profiles[0] if len(profiles) == 1 else merge_profiles(_slices(profiles, check.column))
    show = 0 if check.column in samples.mask else samples.rows
    return judge_distribution(check, reference, current, version=version.ref, show=show)


def _slices(profiles: Sequence[Mapping[str, Any]], column: str) -> list[dict[str, Any]]:
    return [{"rows": p["rows"], "columns": {column: p["columns"][column]}} for p in profiles]


def _on_edges(store: DatasetStore, part: Part, column: str, grid: Sequence[float] | None) -> dict[str, Any]:
    """Profile of the part's column on a version's edges; costs a scan where the part was profiled on others."""
    own = part.profile["columns"][column].get("grid")
    if grid is None or own is None or list(own) == list(grid):
        return part.profile
    edges: Grids = {
        name: (found["grid"][0], found["grid"][1])
        for name, found in part.profile["columns"].items()
        if found.get("grid")
    }
    return store.profile(part, edges | {column: (grid[0], grid[1])})


def _reference(
    warehouse: Warehouse,
    check: ReferenceCheck,
    relation: Relation,
    table: Relation,
    version: str,
    samples: Samples,
) -> CheckResult:
    for where, names, what in ((relation, check.columns, "this dataset"), (table, check.keys, version)):
        there = [column.name for column in warehouse.columns(where)]
        if missing := [name for name in names if name not in there]:
            known = NotFoundError.from_available(f"column of {what}", missing[0], there)
            return unanswered(check, Verdict.ERROR, str(known))
    try:
        found = warehouse.query(_anti_join(check, relation, table, limit=max(samples.rows, 1)))
    except SpecError as err:
        return unanswered(check, Verdict.ERROR, str(err))
    dangling = Dangling(
        rows=int(found[0]["failed"]) if found else 0,
        keys=int(found[0]["keys"]) if found else 0,
        samples=[
            {
                "key": [
                    _MASKED if name in samples.mask else row[f"key{n}"]
                    for n, name in enumerate(check.columns)
                ],
                "rows": row["n"],
            }
            for row in found[: samples.rows]
        ],
    )
    return judge_reference(check, dangling, version=version)


def _anti_join(check: ReferenceCheck, relation: Relation, table: Relation, *, limit: int) -> str:
    """SQL of the keys that refer to nothing, most frequent first; a null in any of them refers to nothing by right."""
    columns = [quote_identifier(name) for name in check.columns]
    keys = [quote_identifier(name) for name in check.keys]
    there = " AND ".join(f"t.{key} = b.{column}" for column, key in zip(columns, keys, strict=True))
    given = " AND ".join(f"b.{column} IS NOT NULL" for column in columns)
    shown = ", ".join(f"left(g.{column}::text, 200) AS key{n}" for n, column in enumerate(columns))
    names = ", ".join(f"b.{column}" for column in columns)
    return f"""SELECT {shown}, g.n, sum(g.n) OVER () AS failed, count(*) OVER () AS keys FROM (
                 SELECT {names}, count(*) AS n FROM {relation.quoted} b
                 WHERE {given} AND NOT EXISTS (SELECT FROM {table.quoted} t WHERE {there})
                 GROUP BY {names}) g
               ORDER BY g.n DESC, {", ".join(f"key{n}" for n in range(len(columns)))} LIMIT {limit}"""


def _table(ref: str) -> str:
    return f"x-dataml.references.{ref}"
