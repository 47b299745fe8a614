"""Verifying a table nobody publishes here: block ranges that have changed are measured, the others are remembered."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.native import blocks, measure, parts, statements, states
from airflow_dataml.adapters.native.blocks import Range
from airflow_dataml.adapters.native.conditions import both, unreferenced
from airflow_dataml.adapters.native.duplicates import Piece
from airflow_dataml.adapters.native.measure import Measured, Subject
from airflow_dataml.adapters.native.metrics import FUSED, ROWS, Metric
from airflow_dataml.adapters.native.reader import OutOfTime
from airflow_dataml.core.segments import Reading, Segment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from airflow_dataml.adapters.native.blocks import Ground
    from airflow_dataml.adapters.native.parts import Pass
    from airflow_dataml.adapters.native.reader import Reader
    from airflow_dataml.adapters.native.values import Value
    from airflow_dataml.core.segments import State

# From so many runs of ranges on, one scan of the table finds their rows as cheaply.
_MOST_RUNS = 64
# Few enough for two connections to share the work evenly, many enough to plan the statement seldom.
_AT_ONCE = 8
_PLACE = '"dataml place"'


@dataclass(slots=True)
class Known:
    """The ranges of a table as they are now.

    :param ranges: by number.
    :param found: their states by number; complete once all that changed are measured.
    :param changed: numbers of those to measure.
    """

    ground: Ground
    ranges: dict[int, Range]
    found: dict[int, State]
    changed: list[int] = field(default_factory=list)


def measure_changes(
    work: Pass, kept: Mapping[int, Mapping[str, Any]], *, pages: int
) -> tuple[Measured, Reading]:
    """Measure what a plan needs of a table, reading the ranges that changed; as a whole where that cannot be.

    :param kept: what :class:`~airflow_dataml.core.segments.Reading` held after earlier verifications.
    """
    import psycopg

    reader = work.readers.main
    whole = Subject(work.relation.quoted, work.plan.filter_sql, work.whole)
    reason = blocks.obstacle(work.readers.whole, reader, work.whole)
    if not reason:
        try:
            known = compare(work, kept, pages)
            work.tokens = parts.read_tokens(reader, work.plan)
            _measure_ranges(work, known, _helpers(work, known))
            _measure_references(work, known)
            return _conclude(work, known)
        except psycopg.errors.QueryCanceled:
            raise
        except psycopg.Error as err:
            if reader.raw.closed or isinstance(err, psycopg.errors.SerializationFailure):
                raise
            reason = measure.reason_of(err)
    return work.run(work.plan.metrics, whole, work.relation), Reading(whole=reason)


def compare(work: Pass, kept: Mapping[int, Mapping[str, Any]], pages: int) -> Known:
    """Find out which ranges are as they were measured."""
    good = {
        number: record for number, record in kept.items() if states.usable(record.get("state"), work.plan)
    }
    before = {number: Range(**record["range"]) for number, record in good.items()}
    ground = blocks.survey(work.readers.main, work.whole, pages)
    rows, same = blocks.probe(work.readers.main, work.relation, ground, before)
    ranges = {
        number: before[number]
        if number in same
        else Range(f"{number}@{ground.snapshot}", ground.name, count, ground.horizon)
        for number, count in rows.items()
    }
    found = {number: dict(good[number]["state"]) for number in same}
    return Known(ground, ranges, found, sorted(rows.keys() - same))


def _helpers(work: Pass, known: Known) -> list[Reader]:
    """Open another connection where so much has changed that it is worth its opening."""
    fraction = len(known.changed) / max(1, known.ground.count)
    count = 1 if work.whole.rows * fraction >= work.beside_from and len(known.changed) > _AT_ONCE else 0
    return work.readers.siblings(count, oid=work.whole.oid, name=work.relation.quoted)


def _measure_ranges(work: Pass, known: Known, helpers: Sequence[Reader]) -> None:
    """Measure what merges of the changed ranges, one after another, some on each connection."""
    wanted = {metric: measure.shortcut(metric, work.whole) for metric in {*work.plan.mergeable, *work.bounds}}
    asked = {told for told in wanted.values() if isinstance(told, Metric) and told.kind in FUSED} - {ROWS}
    metrics = sorted(asked, key=lambda metric: metric.key)
    groups = statements.choose_groups(metrics, work.whole)
    rows = f'{blocks.rows_sql(work.relation, blocks.LOW, blocks.HIGH)} AS "dataml part"'
    cells = statements.scan(metrics, rows, work.plan.filter_sql, groups)
    late: list[OutOfTime] = []

    def some(reader: Reader, numbers: Sequence[int]) -> None:
        query = (
            f'SELECT {blocks.NUMBER}, "dataml cells".* FROM {blocks.ranges_sql(known.ground, numbers)}, '
            f'LATERAL ({cells}) AS "dataml cells"'
        )
        try:
            found = reader.rows(query)
        except OutOfTime as err:
            late.append(err)
            return
        for number, *row in found:
            values = statements.unpack(metrics, row)
            known.found[number] = parts.state_of(work, {m: _told(t, values) for m, t in told_by.items()})

    told_by = {metric.key: told for metric, told in wanted.items()}
    at_once = _AT_ONCE if helpers else len(known.changed)
    chunks = [known.changed[start : start + at_once] for start in range(0, len(known.changed), at_once or 1)]
    jobs = [partial(some, numbers=chunk) for chunk in chunks]
    measure.beside(work.readers.main, helpers, lambda _: None, jobs)
    if late:
        raise late[0]


def _told(told: Metric | int, values: Mapping[str, Value]) -> Value:
    return told if isinstance(told, int) else values[told.key]


def _measure_references(work: Pass, known: Known) -> None:
    """Count what references lack, in changed ranges and in those compared with another content of theirs."""
    for metric in work.references:
        token = work.tokens[metric.key]
        stale = [
            number
            for number, state in known.found.items()
            if state["references"].get(metric.key, [None])[0] != token
        ]
        if metric.reference is None or not stale:
            continue
        relation, column = metric.reference
        condition = both(
            both(work.plan.filter_sql, metric.condition), unreferenced(metric.argument, column, relation)
        )
        # A block's number is dear to take out of a row's place; here only rows at fault pay for it.
        query = (
            f"SELECT ({_PLACE}::text::point)[0]::bigint / {known.ground.pages}, count(*) "
            f'FROM {_rows_of(work, known.ground, stale)} AS "dataml part" WHERE {condition} GROUP BY 1'
        )
        counts = dict(work.readers.main.rows(query))
        for number in stale:
            references = known.found[number]["references"] | {metric.key: [token, counts.get(number, 0)]}
            known.found[number] = known.found[number] | {"references": references}
            if number not in known.changed:
                work.renewed[known.ranges[number].key] = known.found[number]


def _rows_of(work: Pass, ground: Ground, numbers: Iterable[int]) -> str:
    """SQL that reads the rows of some ranges, and of others where that is cheaper."""
    runs = list(_runs(numbers))
    extra = f", ctid AS {_PLACE}"
    if len(runs) > _MOST_RUNS or runs == [(0, ground.count)]:
        return f"(SELECT *{extra} FROM {work.relation.quoted})"
    pieces = [
        blocks.rows_sql(work.relation, *blocks.literal_range(ground, *run), extra=extra) for run in runs
    ]
    return f"({' UNION ALL '.join(pieces)})"


def _runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Join neighbours: ``[0, 1, 2, 7]`` is from 0 to before 3, and from 7 to before 8."""
    for _, group in itertools.groupby(enumerate(sorted(numbers)), lambda pair: pair[1] - pair[0]):
        run = [number for _, number in group]
        yield run[0], run[-1] + 1


def _conclude(work: Pass, known: Known) -> tuple[Measured, Reading]:
    segments = []
    for number, place in sorted(known.ranges.items()):
        ends = blocks.literal_range(known.ground, number, number + 1)
        source = f'{blocks.rows_sql(work.relation, *ends)} AS "dataml part"'
        work.pieces[place.key] = Piece(source, work.whole)
        segments.append(Segment(place.key, work.relation, known.found[number]))
    work.fresh = {known.ranges[number].key: known.found[number] for number in known.changed}
    measured = parts.conclude_pieces(work, segments, Measured())
    new = work.renewed | work.fresh
    kept = {
        number: {"range": place.to_dict(), "state": new[place.key]}
        for number, place in known.ranges.items()
        if place.key in new
    }
    return measured, Reading(kept, read=len(kept), total=known.ground.count)
