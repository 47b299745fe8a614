"""Stage: rows land in a part that no reader sees."""

from __future__ import annotations

import csv
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.datasets import Column, Part, StagedPart
from airflow_dataml.core.errors import QualityGateError, SpecError
from airflow_dataml.core.refs import AssetNaming, Relation
from airflow_dataml.core.runs import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from airflow_dataml.core.datasets import Version, WriteMode
    from airflow_dataml.core.ports import Ledger, Warehouse
    from airflow_dataml.core.runs import RunIdentity, TaskRun

log = logging.getLogger(__name__)
_BLOCK = 1 << 18
_PROGRESS_S = 5.0


@dataclass(frozen=True, slots=True)
class Target:
    """What a stage step writes for, and how it will be published."""

    asset: str
    mode: WriteMode
    partition_key: str | None = None


def stage_csv(
    *,
    ledger: Ledger,
    warehouse: Warehouse,
    identity: RunIdentity,
    target: Target,
    path: Path,
    columns: Sequence[Column],
) -> StagedPart:
    """Stage a CSV file with a header line, in one transaction.

    :param columns: columns and types of the part; the header must name exactly these, in any order.
    :raises SpecError: the file is missing, or its header names other columns.
    :raises GateError: the file has no row, or a value that is not of its column's type.
    """
    header = _read_header(path)
    types = _match_header(path, header, columns)
    stat = path.stat()
    _check_target(target)
    run = ledger.runs.begin(
        identity, input_digest=digest_of(file=path.name, size=stat.st_size, mtime=stat.st_mtime_ns)
    )

    def fill(relation: Relation) -> None:
        warehouse.create_table(relation, types)
        warehouse.copy_rows(relation, header, _blocks(path), on_bytes=_progress(path, stat.st_size))

    return _stage(ledger, warehouse, run=run, target=target, fill=fill, source=str(path))


def stage_query(
    *,
    ledger: Ledger,
    warehouse: Warehouse,
    identity: RunIdentity,
    target: Target,
    query: str,
    inputs: Mapping[str, str],
    parameters: Mapping[str, Any] | None = None,
) -> StagedPart:
    """Stage the result of a query over exact versions of managed datasets, in one transaction.

    :param query: a SELECT; each name of ``inputs``, unqualified, stands for one exact version.
    :param inputs: name in the query -> dataset, ``name`` (current) or ``name@number``.
    :param parameters: values for ``%(name)s`` in the query.
    :raises NotFoundError: an input has no version yet.
    :raises GateError: the query returned no row.
    """
    _check_target(target)
    versions = {name: ledger.versions.find(ref) for name, ref in inputs.items()}
    digest = digest_of(
        query=query, parameters=dict(parameters or {}), inputs={n: v.version_id for n, v in versions.items()}
    )
    run = ledger.runs.begin(identity, input_digest=digest)
    manifests = {name: ledger.versions.manifest(v.version_id) for name, v in versions.items()}

    def fill(relation: Relation) -> None:
        warehouse.bind(manifests)
        warehouse.create_from_select(relation, query, parameters)

    return _stage(
        ledger, warehouse, run=run, target=target, fill=fill, source="query", inputs=tuple(versions.values())
    )


def _stage(
    ledger: Ledger,
    warehouse: Warehouse,
    *,
    run: TaskRun,
    target: Target,
    fill: Callable[[Relation], None],
    source: str,
    inputs: Sequence[Version] = (),
) -> StagedPart:
    fact = run.fact(target.asset)
    part = ledger.versions.part_of(fact)
    if part is None:
        relation = AssetNaming().part(fact)
        with ledger.transaction():
            fill(relation)
            part = _record(ledger, warehouse, run, target, relation, inputs)
            if not part.rows:
                msg = f"the batch for {target.asset!r} from {source} has no row; nothing was staged."
                raise QualityGateError(msg)
            ledger.runs.finish(run)
        log.info("Staged %d rows of %s from %s as %s", part.rows, target.asset, source, relation)
    else:
        log.info("An earlier try staged %d rows of %s as %s; kept", part.rows, target.asset, part.relation)
    return StagedPart(
        part_id=part.part_id,
        asset=target.asset,
        relation=str(part.relation),
        rows=part.rows,
        fingerprint=part.fingerprint.text,
        mode=target.mode,
        partition_key=target.partition_key,
        inputs=part.inputs,
    )


def _record(
    ledger: Ledger,
    warehouse: Warehouse,
    run: TaskRun,
    target: Target,
    relation: Relation,
    inputs: Sequence[Version],
) -> Part:
    columns = warehouse.columns(relation)
    published = ledger.assets.get(target.asset)["location"].get("grids", {})
    grids = {name: (low, high) for name, (low, high) in published.items()}
    profile = warehouse.profile(relation, columns, grids)
    return ledger.versions.add_part(
        run=run,
        fact=run.fact(target.asset),
        relation=relation,
        columns=columns,
        fingerprint=warehouse.fingerprint(relation),
        profile=profile,
        partition_key=target.partition_key,
        inputs=[v.version_id for v in inputs],
    )


def _check_target(target: Target) -> None:
    if target.mode == "partition" and not target.partition_key:
        msg = (
            f"dataset {target.asset!r} is written with mode='partition' and this run has no partition key: "
            "trigger the DAG with one, or use mode='append' or 'replace'."
        )
        raise SpecError(msg)


def _read_header(path: Path) -> list[str]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = next(csv.reader(file), [])
            first = file.readline()
    except OSError as err:
        msg = (
            f"batch file {str(path)!r} cannot be read ({err.strerror}): check the path and the partition key."
        )
        raise SpecError(msg) from err
    if not header or not first.strip():
        msg = f"batch file {str(path)!r} is empty: it needs a header line and at least one row. Nothing was staged."
        raise QualityGateError(msg)
    return header


def _match_header(path: Path, header: Sequence[str], columns: Sequence[Column]) -> list[Column]:
    declared = {c.name: c for c in columns}
    missing, extra = [n for n in declared if n not in header], [n for n in header if n not in declared]
    if missing or extra:
        said = "; ".join(
            part
            for part in (
                f"missing {', '.join(missing)}" if missing else "",
                f"not declared {', '.join(extra)}" if extra else "",
            )
            if part
        )
        msg = f"batch file {str(path)!r} has other columns than declared: {said}. Correct the file or the contract's columns."
        raise SpecError(msg)
    return [declared[n] for n in declared]


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block


def _progress(path: Path, size: int) -> Callable[[int], None]:
    last = time.monotonic()

    def tell(done: int) -> None:
        nonlocal last
        if (now := time.monotonic()) - last > _PROGRESS_S:
            last = now
            log.info("Read %d of %d MB of %s", done >> 20, size >> 20, path.name)

    return tell
