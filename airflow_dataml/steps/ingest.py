"""Stage: rows land in a part that no reader sees."""

from __future__ import annotations

import csv
import logging
import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.datasets import Column, Part, StagedPart
from airflow_dataml.core.errors import QualityGateError, SpecError
from airflow_dataml.core.extras import load
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.runs import digest_of
from airflow_dataml.core.stores import Arrow, CsvFile, MergeSpec, Query, StagedMerge
from airflow_dataml.core.transforms import TRANSFORM, Transform
from airflow_dataml.steps.column_maps import column_maps
from airflow_dataml.steps.publish import grids_of, place_of
from airflow_dataml.steps.read import reading, require_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from airflow_dataml.core.column_lineage import ColumnMap, ColumnParser
    from airflow_dataml.core.datasets import Version, WriteMode
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.runs import RunIdentity, TaskRun
    from airflow_dataml.core.stores import DatasetStore, Source

log = logging.getLogger(__name__)
_PROGRESS_S = 5.0


@dataclass(frozen=True, slots=True)
class Target:
    """What a stage step writes for, and how it will be published.

    :param layout: indexes, defaults and keys of the dataset.
    :param merge: by which columns rows are matched; for ``mode='merge'`` alone.
    :param location: what readers name; the uri of the table where the store is Delta.
    :param branch: the branch the batch is for.
    """

    asset: str
    mode: WriteMode
    partition_key: str | None = None
    layout: Layout = field(default_factory=Layout)
    merge: MergeSpec | None = None
    location: str = ""
    branch: str | None = None


def stage_csv(
    *,
    ledger: Ledger,
    store: DatasetStore,
    identity: RunIdentity,
    target: Target,
    path: Path,
    columns: Sequence[Column],
) -> StagedPart:
    """Stage a CSV file with a header line.

    :param columns: columns and types of the part; the header must name exactly these, in any order, and
        may leave out those that have a default.
    :raises SpecError: the file is missing, or its header names other columns.
    :raises GateError: the file has no row, or a value that is not of its column's type.
    """
    header = _read_header(path)
    if target.merge is not None and target.merge.delete_flag is not None:
        columns = [*columns, Column(target.merge.delete_flag, "boolean")]
    types = _match_header(path, header, columns, optional=target.layout.defaults)
    stat = path.stat()
    digest = digest_of(file=path.name, size=stat.st_size, mtime=stat.st_mtime_ns)
    source = CsvFile(path, tuple(header), tuple(types))
    return stage_source(
        ledger=ledger,
        store=store,
        identity=identity,
        target=target,
        source=source,
        digest=digest,
        origin=str(path),
    )


def stage_parquet(
    *,
    ledger: Ledger,
    store: DatasetStore,
    identity: RunIdentity,
    target: Target,
    path: Path,
    columns: Sequence[Column],
) -> StagedPart:
    """Stage a Parquet file, one row group at a time; parameters and errors as for ``stage_csv``.

    :raises MissingExtraError: pyarrow is not installed.
    """
    pyarrow, parquet = load("pyarrow", extra="delta"), load("pyarrow.parquet", extra="delta")
    try:
        file = parquet.ParquetFile(path)
    except (OSError, pyarrow.ArrowInvalid) as err:
        msg = f"batch file {str(path)!r} cannot be read ({err}): check the path and the partition key."
        raise SpecError(msg) from err
    with file:
        if target.merge is not None and target.merge.delete_flag is not None:
            columns = [*columns, Column(target.merge.delete_flag, "boolean")]
        names = list(file.schema_arrow.names)
        types = _match_header(path, names, columns, optional=target.layout.defaults)
        stat = path.stat()
        return stage_source(
            ledger=ledger,
            store=store,
            identity=identity,
            target=target,
            source=Arrow(
                pyarrow.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches()),
                tuple(types),
            ),
            digest=digest_of(file=path.name, size=stat.st_size, mtime=stat.st_mtime_ns),
            origin=str(path),
        )


def stage_query(
    *,
    ledger: Ledger,
    store: DatasetStore,
    identity: RunIdentity,
    target: Target,
    query: str,
    inputs: Mapping[str, str],
    parameters: Mapping[str, Any] | None = None,
    parser: ColumnParser | None = None,
) -> StagedPart:
    """Stage the result of a query over exact versions of managed datasets.

    Which columns of which version went into which column is written down too: exactly where the database can
    tell, else as the parser reads the text.

    :param query: a SELECT; each name of ``inputs``, unqualified, stands for one exact version.
    :param inputs: name in the query -> dataset: ``name`` (current), ``name@number``, ``name@alias`` or
        ``name@time``; on a branch a bare name is the branch's version.
    :param parameters: values for ``%(name)s`` in the query.
    :param parser: reads the columns of queries that the database does not analyse.
    :raises NotFoundError: an input has no version yet.
    :raises GateError: the query returned no row.
    """
    versions = {name: ledger.versions.find(ref, branch=target.branch) for name, ref in inputs.items()}
    digest = digest_of(
        query=query, parameters=dict(parameters or {}), inputs={n: v.version_id for n, v in versions.items()}
    )
    for version in versions.values():
        require_rows(version, ledger.versions.manifest(version.version_id))
    bound = {
        name: (ledger.versions.manifest(v.version_id), ledger.versions.columns(v.version_id))
        for name, v in versions.items()
    }
    source = Query(query, bound, parameters)
    return stage_source(
        ledger=ledger,
        store=store,
        identity=identity,
        target=target,
        source=source,
        digest=digest,
        origin="query",
        inputs=tuple(versions.values()),
        columns=partial(column_maps, ledger=ledger, query=source, versions=versions, parser=parser),
        transform=Transform.of(query, {n: v.version_id for n, v in versions.items()}, parameters),
    )


def stage_source(
    *,
    ledger: Ledger,
    store: DatasetStore,
    identity: RunIdentity,
    target: Target,
    source: Source,
    digest: str,
    origin: str,
    inputs: Sequence[Version] = (),
    columns: Callable[[], Mapping[int, ColumnMap]] | None = None,
    transform: Transform | None = None,
) -> StagedPart:
    """Stage rows from anywhere, in one transaction.

    :param digest: content address of what is staged; tells a retry from a new batch.
    :param origin: where the rows come from, for messages.
    :param inputs: versions the rows were made from.
    :param columns: tells which of their columns went into which; asked once, when the rows are there.
    :param transform: the query they are made by, kept as a report on the part.
    :raises GateError: there is no row, or a key to merge by is null or occurs twice.
    """
    _check_target(target)
    parent = ledger.versions.head(target.asset, branch=target.branch) if target.mode == "merge" else None
    if target.mode == "merge":
        digest = digest_of(batch=digest, parent=parent.version_id if parent else None)
    run = ledger.runs.begin(identity, input_digest=digest)
    part = ledger.versions.part_of(run.fact(target.asset))
    if part is not None and part.state != "live":
        # Retention gave up what an earlier try staged.
        run, part = ledger.runs.renew(run), None
    if part is None:
        with reading(ledger, [*inputs, *([parent] if parent else [])]), ledger.transaction():
            part = _stage(ledger, store, run, target, source, parent, inputs, origin)
            if columns is not None:
                ledger.columns.keep(part.part_id, columns())
            if transform is not None:
                ledger.reports.add(
                    run=run,
                    fact=run.fact(target.asset),
                    kind=TRANSFORM,
                    verdict="pass",
                    body=transform.to_dict(),
                    part_id=part.part_id,
                )
            ledger.runs.finish(run)
        log.info("Staged %d rows of %s from %s as %s", part.rows, target.asset, origin, part.locator)
    else:
        log.info("An earlier try staged %d rows of %s as %s; kept", part.rows, target.asset, part.locator)
    return _handed_over(ledger, target, part)


def _stage(
    ledger: Ledger,
    store: DatasetStore,
    run: TaskRun,
    target: Target,
    source: Source,
    parent: Version | None,
    inputs: Sequence[Version],
    origin: str,
) -> Part:
    fact = run.fact(target.asset)
    place = place_of(ledger, target.asset, target.location, target.layout, branch=target.branch)
    grids, tell = grids_of(ledger, target.asset), _progress(target.asset)
    if target.merge is None:
        batch = store.stage(fact=fact, place=place, source=source, grids=grids, on_progress=tell)
        merged = StagedMerge(batch)
    else:
        current = ledger.versions.manifest(parent.version_id) if parent else ()
        merged = store.stage_merge(
            fact=fact,
            place=place,
            source=source,
            merge=target.merge,
            current=current,
            grids=grids,
            on_progress=tell,
        )
    if not merged.batch.fingerprint.rows and not merged.removes:
        msg = f"the batch for {target.asset!r} from {origin} has no row; nothing was staged."
        raise QualityGateError(msg)
    base = parent.version_id if parent else None
    for rewrite in merged.rewrites:
        ledger.versions.add_part(
            run=run,
            fact=fact.of(str(rewrite.replaces[0])),
            part=rewrite,
            store=store.name,
            inputs=ledger.versions.part(rewrite.replaces[0]).inputs,
            parent_id=base,
        )
    return ledger.versions.add_part(
        run=run,
        fact=fact,
        part=replace(merged.batch, partition_key=target.partition_key, replaces=merged.removes),
        store=store.name,
        inputs=[v.version_id for v in inputs],
        parent_id=base,
    )


def _handed_over(ledger: Ledger, target: Target, part: Part) -> StagedPart:
    rewrites = ledger.versions.rewrites_of(part.part_id) if target.mode == "merge" else ()
    return StagedPart(
        part_id=part.part_id,
        asset=target.asset,
        relation=part.locator,
        rows=part.rows,
        fingerprint=part.fingerprint.text,
        mode=target.mode,
        partition_key=target.partition_key,
        inputs=part.inputs,
        keys=target.merge.keys if target.merge else (),
        parent_id=part.parent_id,
        rewrites=tuple(p.part_id for p in rewrites),
        removes=part.replaces,
        branch=target.branch,
    )


def _check_target(target: Target) -> None:
    if target.mode == "partition" and not target.partition_key:
        msg = (
            f"dataset {target.asset!r} is written with mode='partition' and this run has no partition key: "
            "trigger the DAG with one, or use mode='append' or 'replace'."
        )
        raise SpecError(msg)
    if (target.mode == "merge") != (target.merge is not None):
        msg = (
            f"dataset {target.asset!r} is written with mode={target.mode!r}: mode='merge' needs keys, and "
            "keys and delete_flag go with mode='merge' alone."
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


def _match_header(
    path: Path, header: Sequence[str], columns: Sequence[Column], *, optional: Mapping[str, str]
) -> list[Column]:
    declared = {c.name: c for c in columns}
    missing = [n for n in declared if n not in header and n not in optional]
    extra = [n for n in header if n not in declared]
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


def _progress(asset: str) -> Callable[[str], None]:
    last = time.monotonic()

    def tell(done: str) -> None:
        nonlocal last
        if (now := time.monotonic()) - last > _PROGRESS_S:
            last = now
            log.info("Staging %s: %s", asset, done)

    return tell
