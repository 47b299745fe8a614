"""Measuring a plan on a table: catalog first, one scan for most of it, the rest beside it."""

from __future__ import annotations

import queue
import threading
from contextlib import nullcontext
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.native import statements
from airflow_dataml.adapters.native.catalog import stored_rows
from airflow_dataml.adapters.native.metrics import FUSED, ROWS, Metric
from airflow_dataml.adapters.native.reader import OutOfTime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager

    from airflow_dataml.adapters.native.catalog import Table
    from airflow_dataml.adapters.native.reader import Reader, Readers
    from airflow_dataml.adapters.native.values import Value

# A hash of fewer values than this stays in the processor's caches. Beyond, each look-up waits for memory, the
# longer the busier the machine: by up to twice the seconds of sorting, which reads and writes in order.
_LEAST_SORTED = 100_000
# Every parallel worker sorts the whole reference.
_SORTED_PER_REFERENCE = 10


@dataclass(slots=True)
class Measured:
    """Values by metric, and why a metric has none.

    :param values: by the metric's key; a query's cell is kept as Python has it.
    """

    values: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured: SQL that reads it, the rows meant, and what the catalog says about it."""

    source: str
    where: str | None
    table: Table


def measure(
    readers: Readers, subject: Subject, metrics: Iterable[Metric], *, name: str, beside_from: float
) -> Measured:
    """Measure metrics; one that cannot be measured leaves the others alone.

    :param name: the relation as SQL, which other connections must see to help.
    :param beside_from: expected rows from which other connections are worth their opening.
    """
    found = Measured()
    wanted = {metric: shortcut(metric, subject.table) for metric in metrics}
    fused = {known for known in wanted.values() if isinstance(known, Metric) and known.kind in FUSED} - {ROWS}
    lone = [
        known
        for known in wanted.values()
        if isinstance(known, Metric) and known.kind in ("distinct", "reference")
    ]
    own = [metric for metric in wanted if metric.kind in ("cell", "rows")]
    ordered = sorted(fused, key=lambda metric: metric.key)
    groups = statements.choose_groups(ordered, subject.table)

    def main(reader: Reader) -> None:
        if ordered or ROWS in wanted.values():
            scan(reader, subject, ordered, found, groups)
        # A contract's own queries may read what only this session sees.
        for metric in own:
            measure_alone(reader, subject, metric, found)

    helpers = min(2, len(lone)) if subject.table.rows >= beside_from and subject.table.shared else 0
    siblings = readers.siblings(helpers, oid=subject.table.oid, name=name)
    beside(readers.main, siblings, main, [_job(subject, metric, found) for metric in lone])
    for metric, known in wanted.items():
        if isinstance(known, int):
            found.values[metric.key] = known
        elif known.key in found.values:
            found.values[metric.key] = found.values[known.key]
        else:
            found.errors[metric.key] = found.errors[known.key]
    # A piece of a scan that failed says nothing about the rows that another piece has counted.
    found.errors = {key: reason for key, reason in found.errors.items() if key not in found.values}
    return found


def shortcut(metric: Metric, table: Table) -> Metric | int:
    """Return what a metric comes to by the catalog: its value, or a cheaper metric; else itself."""
    if metric.null and metric.columns and table.requires(metric.columns[0]):
        return 0
    if metric.kind == "distinct" and metric.columns and table.unique(metric.columns):
        keys = [index.columns for index in table.indexes if index.unique]
        told = [key for key in keys if set(key) <= set(metric.columns) and all(map(table.requires, key))]
        if metric.argument and not told:
            return Metric("count", condition=metric.condition)
        if told:
            plain = metric.condition == f"{metric.argument} IS NOT NULL"
            return Metric("count", condition=None if plain else metric.condition)
    return metric


def scan(
    reader: Reader, subject: Subject, metrics: Sequence[Metric], found: Measured, groups: Sequence[str] = ()
) -> None:
    """Measure metrics in one pass; those the database refuses are taken out and told."""
    import psycopg

    try:
        row = reader.rows(statements.scan(metrics, subject.source, subject.where, groups))[0]
        found.values.update(statements.unpack(metrics, row))
    except OutOfTime as err:
        found.errors.update({metric.key: str(err) for metric in (ROWS, *metrics)})
    except psycopg.Error as err:
        _raise_if_lost(reader, err)
        reason = reason_of(err)
        if len(metrics) < 2 or isinstance(err, psycopg.errors.QueryCanceled):
            found.errors.update({metric.key: reason for metric in (*metrics, ROWS)})
        elif groups:
            scan(reader, subject, metrics, found)
        else:
            _scan_in_pieces(reader, subject, metrics, found)


def _scan_in_pieces(reader: Reader, subject: Subject, metrics: Sequence[Metric], found: Measured) -> None:
    """Leave out what does not even parse; where all does, halve until the culprit stands alone."""
    broken = {metric.key: reason for metric in metrics if (reason := refused(reader, subject, metric))}
    found.errors.update(broken)
    rest = [metric for metric in metrics if metric.key not in broken]
    if broken:
        scan(reader, subject, rest, found)
        return
    middle = len(rest) // 2
    scan(reader, subject, rest[:middle], found)
    scan(reader, subject, rest[middle:], found)


def refused(reader: Reader, subject: Subject, metric: Metric) -> str | None:
    """Return why the database will not plan a metric; ``None`` if it will. Reads no row."""
    import psycopg

    try:
        reader.rows(f"EXPLAIN (COSTS OFF) {statements.scan([metric], subject.source, subject.where)}")
    except OutOfTime as err:
        return str(err)
    except psycopg.Error as err:
        _raise_if_lost(reader, err)
        return reason_of(err)
    return None


def measure_alone(reader: Reader, subject: Subject, metric: Metric, found: Measured) -> None:
    """Measure a metric by a statement of its own."""
    import psycopg

    try:
        with _joining(reader, subject, metric):
            rows = reader.rows(statements.alone(metric, subject.source, subject.where, subject.table))
        found.values[metric.key] = _cell(rows[0][0]) if rows else None
    except OutOfTime as err:
        found.errors[metric.key] = str(err)
    except psycopg.Error as err:
        _raise_if_lost(reader, err)
        found.errors[metric.key] = reason_of(err)


def _joining(reader: Reader, subject: Subject, metric: Metric) -> AbstractContextManager[None]:
    """Choose between sorting a table's numbers and looking each up among a reference's."""
    if metric.reference is None or not statements.sorts_well(metric, subject.table):
        return nullcontext()
    least, most = _LEAST_SORTED, subject.table.rows / _SORTED_PER_REFERENCE
    sort = least <= most and least <= stored_rows(reader, metric.reference[0]) <= most
    return reader.planning_without("hashjoin") if sort else nullcontext()


def beside(
    main: Reader,
    siblings: Sequence[Reader],
    work: Callable[[Reader], None],
    jobs: Sequence[Callable[[Reader], None]],
) -> None:
    """Do the main work on the main connection and jobs on the others, then what is left of them on it.

    Whatever ends the main work ends the others' queries too.
    """
    import psycopg

    left: queue.SimpleQueue[Callable[[Reader], None]] = queue.SimpleQueue()
    for job in jobs:
        left.put(job)
    stopped = threading.Event()

    def drain(reader: Reader) -> None:
        while not stopped.is_set():
            try:
                job = left.get_nowait()
            except queue.Empty:
                return
            try:
                job(reader)
            except psycopg.Error:
                if reader is main:
                    raise
                # A helper that lost its connection hands its job back.
                left.put(job)
                return

    threads = [threading.Thread(target=drain, args=[sibling], daemon=True) for sibling in siblings]
    for thread in threads:
        thread.start()
    try:
        work(main)
        drain(main)
        for thread in threads:
            thread.join()
        drain(main)
    except BaseException:
        stopped.set()
        for sibling in siblings:
            sibling.cancel()
        for thread in threads:
            thread.join(timeout=10)
        raise


def reason_of(err: BaseException) -> str:
    """Return what the database says, in one line."""
    primary = getattr(getattr(err, "diag", None), "message_primary", None)
    return str(primary or " ".join(str(err).split()) or type(err).__name__)


def _job(subject: Subject, metric: Metric, found: Measured) -> Callable[[Reader], None]:
    return lambda reader: measure_alone(reader, subject, metric, found)


def _raise_if_lost(reader: Reader, err: BaseException) -> None:
    import psycopg

    # What asks for the whole transaction again is no check's fault either.
    if reader.raw.closed or isinstance(err, psycopg.errors.SerializationFailure):
        raise err


def _cell(value: Any) -> Value | float | Decimal | str | bool:
    known = value is None or isinstance(value, bool | int | float | Decimal | str)
    return value if known else ["other", str(value)]
