"""Verifying a table piece by piece: what was measured of a piece before is not measured again.

========================  ===========  ==================================================================
check                     incremental  why not, or how
========================  ===========  ==================================================================
schema                    free         the catalog answers
row_count                 yes          counts add up
missing, invalid          yes          counts add up
invalid with a reference  yes          while the reference's content is the same, which costs one pass
                                       over the reference's column; else all rows are compared again
aggregate                 yes          sums add up, an average is a sum and a count; of texts and intervals
                                       the least and greatest do not merge and are taken of all rows
freshness                 yes          the newest time is the newest of the newest
failed_rows (expression)  yes          counts add up
duplicate                 mostly       new keys are compared with old segments whose range of keys they
                                       meet, by an index that begins with the key; without one, with a
                                       ``column_expression`` or after a segment left, all rows are counted
metric (expression)       no           an aggregate of the author's own cannot be taken apart
metric, failed_rows       no           a query may read anything
(query, keys_query)
any with now(), a         no           its answer on the same rows changes with time or another table
subquery, ``${soda.*}``
========================  ===========  ==================================================================
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from airflow_dataml.adapters.native import duplicates, measure, states
from airflow_dataml.adapters.native.catalog import read_table, source_like
from airflow_dataml.adapters.native.measure import Measured, Subject
from airflow_dataml.adapters.native.reader import OutOfTime
from airflow_dataml.core.refs import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from airflow_dataml.adapters.native.catalog import Table
    from airflow_dataml.adapters.native.duplicates import Piece
    from airflow_dataml.adapters.native.metrics import Metric, Plan
    from airflow_dataml.adapters.native.reader import Reader, Readers
    from airflow_dataml.core.refs import Relation
    from airflow_dataml.core.segments import Segment, State


@dataclass(slots=True)
class Pass:
    """One verification by pieces.

    :param whole: the catalog's view of all segments as one.
    :param tokens: key of a reference metric -> a name of what the reference holds now.
    :param fresh: states of the segments measured in this pass.
    :param renewed: states of segments whose reference has changed since they were measured.
    :param pieces: the segments looked up so far.
    :ivar distincts: duplicate checks that can be followed from one set of segments to the next.
    :ivar spans: what bounds the keys of each of them, by column.
    """

    readers: Readers
    plan: Plan
    relation: Relation
    whole: Table
    beside_from: float
    tokens: dict[str, str] = field(default_factory=dict)
    fresh: dict[str, State] = field(default_factory=dict)
    renewed: dict[str, State] = field(default_factory=dict)
    pieces: dict[str, Piece] = field(default_factory=dict)
    distincts: list[Metric] = field(init=False)
    spans: dict[Metric, dict[str, tuple[Metric, Metric, Metric]]] = field(init=False)

    def __post_init__(self) -> None:
        """Work out once what every segment is asked about."""
        self.distincts = [
            metric
            for metric in self.plan.metrics
            if metric.kind == "distinct" and metric.columns and metric.key not in self.plan.moving
        ]
        self.spans = {metric: duplicates.range_metrics(metric, self.whole) for metric in self.distincts}

    @property
    def references(self) -> list[Metric]:
        """Reference metrics whose value on the same rows and reference stays."""
        return [
            metric for metric in self.plan.metrics if metric.kind == "reference" and metric.key in self.tokens
        ]

    @property
    def bounds(self) -> set[Metric]:
        """All metrics of ``spans``."""
        return {metric for span in self.spans.values() for three in span.values() for metric in three}

    def run(self, metrics: Iterable[Metric], subject: Subject, relation: Relation) -> Measured:
        """Measure metrics on a relation."""
        return measure.measure(
            self.readers, subject, metrics, name=relation.quoted, beside_from=self.beside_from
        )


def measure_pieces(work: Pass, segments: Sequence[Segment]) -> Measured:
    """Measure what a plan needs of a table made of segments, reading as little as their states allow.

    New states are left in ``work.fresh`` and ``work.renewed``.
    """
    work.tokens = read_tokens(work.readers.main, work.plan)
    known, broken = [], Measured()
    for segment in segments:
        state, errors = segment.state, Measured()
        if state is None or not states.usable(state, work.plan):
            state, errors = measure_segment(work, segment)
        else:
            state = renew(work, segment, dict(state))
        broken.errors.update(errors.errors)
        known.append(replace(segment, state=state))
    return conclude_pieces(work, known, broken)


def conclude_pieces(work: Pass, known: Sequence[Segment], broken: Measured) -> Measured:
    """Merge the states of all segments, and measure on the whole what they do not tell.

    :param known: every segment with its state; those just measured are in ``work.fresh``.
    :param broken: what could not be measured of a segment.
    """
    found = _merged(work, known)
    for key in broken.errors:
        found.values.pop(key, None)
    found.errors.update(broken.errors)
    _follow_duplicates(work, known, found)
    rest = [m for m in work.plan.metrics if m.key not in found.values and m.key not in found.errors]
    if rest:
        subject = Subject(work.relation.quoted, work.plan.filter_sql, work.whole)
        more = work.run(rest, subject, work.relation)
        found.values.update(
            {metric.key: more.values[metric.key] for metric in rest if metric.key in more.values}
        )
        found.errors.update({key: more.errors[key] for key in more.errors if key not in found.values})
    _keep_duplicates(work, known, found)
    if broken.errors:
        work.fresh.clear()
    return found


def measure_segment(work: Pass, segment: Segment) -> tuple[State | None, Measured]:
    """Measure one segment; its state, and what is missing from it."""
    piece = _piece(work, segment)
    if piece is None:
        reason = f"there is no table or view {segment.relation} on this connection"
        return None, Measured(errors={metric.key: reason for metric in work.plan.mergeable})
    subject = Subject(piece.source, work.plan.filter_sql, piece.table)
    found = work.run([*work.plan.mergeable, *work.references, *work.bounds], subject, segment.relation)
    state = work.fresh[segment.key] = state_of(work, found.values)
    keys = {metric.key for metric in work.plan.mergeable}
    return state, Measured(errors={key: reason for key, reason in found.errors.items() if key in keys})


def state_of(work: Pass, values: Mapping[str, Any]) -> State:
    """Return the state of a segment from the values of its metrics."""
    state = states.new_state(work.plan, values)
    state["references"] = {
        metric.key: [work.tokens[metric.key], values[metric.key]]
        for metric in work.references
        if metric.key in values
    }
    state["ranges"] = {
        metric.key: {name: [values[bound.key] for bound in bounds] for name, bounds in span.items()}
        for metric, span in work.spans.items()
        if all(bound.key in values for bounds in span.values() for bound in bounds)
    }
    return state


def renew(work: Pass, segment: Segment, state: State) -> State:
    """Compare a segment's rows again with the references that have changed."""
    kept = state.get("references", {})
    stale = [
        metric for metric in work.references if kept.get(metric.key, [None])[0] != work.tokens[metric.key]
    ]
    piece = _piece(work, segment) if stale else None
    if piece is None:
        return state
    subject = Subject(piece.source, work.plan.filter_sql, piece.table)
    found = work.run(stale, subject, segment.relation)
    again = {m.key: [work.tokens[m.key], found.values[m.key]] for m in stale if m.key in found.values}
    work.renewed[segment.key] = {**state, "references": {**kept, **again}}
    return work.renewed[segment.key]


def read_tokens(reader: Reader, plan: Plan) -> dict[str, str]:
    """Name what each reference holds now; one that cannot be read has no token."""
    import psycopg

    tokens: dict[str, str] = {}
    for metric in plan.metrics:
        if metric.kind != "reference" or metric.reference is None or metric.key in plan.moving:
            continue
        relation, column = metric.reference
        hashed = f"pg_catalog.hashtextextended({quote_identifier(column)}::text, 0)"
        query = (
            f"SELECT count(*), sum({hashed}::numeric)::text, bit_xor({hashed})::text FROM {relation.quoted}"
        )
        try:
            tokens[metric.key] = ":".join(map(str, reader.rows(query)[0]))
        except OutOfTime:
            raise
        except psycopg.Error as err:
            if reader.raw.closed or isinstance(err, psycopg.errors.QueryCanceled):
                raise
    return tokens


def _merged(work: Pass, segments: Sequence[Segment]) -> Measured:
    found = Measured()
    kept = [segment.state for segment in segments if segment.state is not None]
    if kept and len(kept) == len(segments):
        whole = states.merge_states([dict(state) for state in kept])
        found.values.update(whole["values"])
        for metric in work.references:
            token, count = whole["references"].get(metric.key, (None, 0))
            if token == work.tokens[metric.key]:
                found.values[metric.key] = count
    return found


def _follow_duplicates(work: Pass, segments: Sequence[Segment], found: Measured) -> None:
    """Take distinct keys over from an earlier set of segments, and add those of the new ones."""
    old = [segment for segment in segments if segment.key not in work.fresh]
    new = [segment for segment in segments if segment.key in work.fresh]
    if found.errors:
        return
    for metric in work.distincts:
        base = states.distinct_of(segments if not new else old, metric)
        more = _added(work, metric, old, new) if base is not None and new else 0
        if base is not None and more is not None:
            found.values[metric.key] = base + more


def _added(work: Pass, metric: Metric, old: Sequence[Segment], new: Sequence[Segment]) -> int | None:
    met = [s for s in old if not all(states.apart(s.state or {}, n.state or {}, metric) for n in new)]
    rows = sum(map(duplicates.rows_of, (*old, *new)))
    if not duplicates.worth_probing(met=met, new=new, rows=rows):
        return None
    read = {segment.key: _piece(work, segment) for segment in (*met, *new)}
    there = {key: piece for key, piece in read.items() if piece is not None}
    if len(there) < len(read):
        return None
    return duplicates.added(
        work.readers.main,
        metric,
        met=[there[segment.key] for segment in met],
        new=[there[segment.key] for segment in new],
        where=work.plan.filter_sql,
        whole=work.whole,
    )


def _keep_duplicates(work: Pass, segments: Sequence[Segment], found: Measured) -> None:
    """Leave the distinct keys of the whole set in the state of the last new segment."""
    new = [segment.key for segment in segments if segment.key in work.fresh]
    values = {metric.key: found.values[metric.key] for metric in work.distincts if metric.key in found.values}
    if new and values:
        over = states.set_digest(segment.key for segment in segments)
        work.fresh[new[-1]]["distinct"] = {"over": over, "values": values}


def _piece(work: Pass, segment: Segment) -> Piece | None:
    if segment.key not in work.pieces:
        table = read_table(work.readers.main, segment.relation)
        if table is not None:
            source = source_like(table, segment.relation, work.whole)
            work.pieces[segment.key] = duplicates.Piece(source, table)
    return work.pieces.get(segment.key)
