"""Rows that were set aside, on PostgreSQL."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.ddl import literal
from airflow_dataml.adapters.postgres.samples import shown_sql
from airflow_dataml.adapters.postgres.versions import PostgresVersions
from airflow_dataml.adapters.postgres.views import columns_of
from airflow_dataml.core.errors import NotFoundError
from airflow_dataml.core.quarantine import REASONS, Quarantined
from airflow_dataml.core.refs import Relation, quote_identifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.datasets import Part
    from airflow_dataml.core.quarantine import QuarantineState
    from airflow_dataml.core.refs import FactKey
    from airflow_dataml.core.runs import TaskRun

_QUARANTINE = """
SELECT q.quarantine_id, a.name AS asset, q.part_id, q.relation, q.row_count AS rows, q.tested, q.reasons, q.state,
       q.created_at, q.partition_key, q.report_id, q.closed_at, q.note, q.fact_key AS fact,
       (SELECT p.part_id FROM dataml.part p WHERE p.fact_key = q.fact_key) AS rest_id,
       (SELECT a.name || '@' || v.number FROM dataml.version v WHERE v.version_id = q.version_id) AS version,
       -- What was for a branch is for everybody once the branch was merged.
       CASE WHEN NOT EXISTS (SELECT 1 FROM dataml.branch b WHERE b.name = q.branch AND b.state = 'merged'
                             AND b.closed_at > q.created_at) THEN q.branch END AS branch
FROM dataml.quarantine q JOIN dataml.asset a USING (asset_id)
"""
_FETCH = 1000


class PostgresQuarantine:
    """What was set aside; see ``core.ports_quarantine.QuarantineLedger``."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def count(self, part: Part, conditions: Sequence[str], *, timeout_s: float) -> int:
        """Count the rows of a part that meet any of some conditions."""
        with self._in_time(timeout_s):
            return int(
                self._db.scalar(f"SELECT count(*) FROM {part.relation.quoted} WHERE {_any(conditions)}")
            )

    def move(
        self, part: Part, conditions: Sequence[tuple[str, str]], *, into: Relation, timeout_s: float
    ) -> tuple[int, dict[str, int]]:
        """Copy the rows that meet any condition into a new table, with the names of those they meet."""
        names = ", ".join(
            f"CASE WHEN {_met(sql)} THEN {literal(self._db, name)} END" for name, sql in conditions
        )
        reasons = f"array_remove(ARRAY[{names}]::text[], NULL) AS {quote_identifier(REASONS)}"
        with self._in_time(timeout_s):
            moved = self._db.execute(
                f"CREATE TABLE {into.quoted} AS SELECT *, {reasons} FROM {part.relation.quoted} "
                f"WHERE {_any([sql for _, sql in conditions])}"
            )
            counts = self._db.rows(
                f"SELECT reason, count(*) AS n FROM {into.quoted}, unnest({quote_identifier(REASONS)}) AS reason "
                "GROUP BY reason ORDER BY n DESC, reason"
            )
        return moved, {row["reason"]: row["n"] for row in counts}

    def add(
        self,
        *,
        run: TaskRun,
        fact: FactKey,
        part: Part,
        relation: str,
        rows: int,
        tested: int,
        reasons: Mapping[str, int],
        report_id: int,
        branch: str | None = None,
    ) -> Quarantined:
        """Write down that rows of a part were set aside."""
        from psycopg.types.json import Jsonb

        number = self._db.scalar(
            """INSERT INTO dataml.quarantine (asset_id, run_key, fact_key, part_id, relation, row_count, tested, reasons,
                                              partition_key, report_id, branch)
               SELECT asset_id, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s FROM dataml.asset WHERE name = %s
               RETURNING quarantine_id""",
            [
                run.run_key, str(fact), part.part_id, relation, rows, tested, Jsonb(dict(reasons)),
                part.partition_key, report_id, branch, fact.asset,
            ],
        )  # fmt: skip
        return self.get(number)

    def get(self, quarantine_id: int) -> Quarantined:
        """Return one."""
        return self._found(quarantine_id, "")

    def lock(self, quarantine_id: int) -> Quarantined:
        """Return one and lock it until the transaction ends."""
        return self._found(quarantine_id, " FOR UPDATE OF q")

    def _found(self, quarantine_id: int, how: str) -> Quarantined:
        row = self._db.row(_QUARANTINE + "WHERE q.quarantine_id = %s" + how, [quarantine_id])
        if row is None:
            msg = f"quarantine {quarantine_id} is not in the ledger; `dataml quarantine list` shows what there is."
            raise NotFoundError(msg)
        return Quarantined(**row)

    def list(
        self,
        *,
        asset: str | None = None,
        state: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[Quarantined]:
        """Return a page, newest first."""
        rows = self._db.rows(
            _QUARANTINE
            + """WHERE (%s::text IS NULL OR a.name = %s) AND (%s::text IS NULL OR q.state = %s)
                 AND (%s::bigint IS NULL OR q.quarantine_id < %s) ORDER BY q.quarantine_id DESC LIMIT %s""",
            [asset, asset, state, state, before, before, limit],
        )
        return [Quarantined(**row) for row in rows]

    def open_of(self, asset: str) -> tuple[Quarantined, ...]:
        """Return all open ones of a dataset, oldest first."""
        rows = self._db.rows(
            _QUARANTINE + "WHERE a.name = %s AND q.state = 'open' ORDER BY q.quarantine_id", [asset]
        )
        return tuple(Quarantined(**row) for row in rows)

    def of_part(self, part_id: int) -> tuple[Quarantined, ...]:
        """Return what checks of a batch set aside, newest first."""
        rows = self._db.rows(_QUARANTINE + "WHERE q.part_id = %s ORDER BY q.quarantine_id DESC", [part_id])
        return tuple(Quarantined(**row) for row in rows)

    def of_report(self, report_id: int) -> Quarantined | None:
        """Return what was set aside because of a report."""
        row = self._db.row(_QUARANTINE + "WHERE q.report_id = %s", [report_id])
        return Quarantined(**row) if row else None

    def of_rest(self, part_id: int) -> Quarantined | None:
        """Return what was set aside so that a part is what it is."""
        row = self._db.row(
            _QUARANTINE + "WHERE q.fact_key = (SELECT fact_key FROM dataml.part WHERE part_id = %s)",
            [part_id],
        )
        return Quarantined(**row) if row else None

    def rest_of(self, part_id: int) -> Part | None:
        """Return the part that stands for a batch: its newest check set rows aside, and the rest passed."""
        rest = self._db.scalar(
            """SELECT p.part_id FROM dataml.quarantine q JOIN dataml.part p ON p.fact_key = q.fact_key
               WHERE q.report_id = (SELECT max(report_id) FROM dataml.report WHERE part_id = %s AND kind = 'check')
               AND (SELECT r.verdict FROM dataml.report r WHERE r.part_id = p.part_id AND r.kind = 'check'
                    ORDER BY r.report_id DESC LIMIT 1) IN ('pass', 'warn')""",
            [part_id],
        )
        return None if rest is None else PostgresVersions(self._db).part(rest)

    def link(self, part_id: int, quarantine_ids: Sequence[int]) -> None:
        """Write down whose rows a staged part brings back."""
        self._db.execute(
            "INSERT INTO dataml.quarantine_replay (part_id, quarantine_id) SELECT %s, unnest(%s::bigint[])",
            [part_id, list(quarantine_ids)],
        )

    def replayed_by(self, part_id: int) -> tuple[Quarantined, ...]:
        """Return whose rows a staged part brings back; they are locked until the transaction ends."""
        rows = self._db.rows(
            _QUARANTINE
            + """WHERE q.quarantine_id IN (SELECT quarantine_id FROM dataml.quarantine_replay WHERE part_id = %s)
                 ORDER BY q.quarantine_id FOR UPDATE OF q""",
            [part_id],
        )
        return tuple(Quarantined(**row) for row in rows)

    def close(
        self,
        quarantine_id: int,
        *,
        state: QuarantineState,
        version_id: int | None = None,
        note: str | None = None,
    ) -> None:
        """Write down what became of the rows; what is closed stays as it is."""
        self._db.execute(
            """UPDATE dataml.quarantine SET state = %s, version_id = %s, note = %s, closed_at = clock_timestamp()
               WHERE quarantine_id = %s AND state = 'open'""",
            [state, version_id, note, quarantine_id],
        )

    def reports(self, asset: str) -> dict[int, bool]:
        """Return the reports that set rows aside, and whether rows of the same batch are still open."""
        rows = self._db.rows(
            """SELECT q.report_id, EXISTS (
                 SELECT 1 FROM dataml.quarantine o WHERE o.asset_id = q.asset_id AND o.state = 'open'
                 AND o.partition_key IS NOT DISTINCT FROM q.partition_key) AS open
               FROM dataml.quarantine q JOIN dataml.asset a USING (asset_id) WHERE a.name = %s""",
            [asset],
        )
        return {row["report_id"]: row["open"] for row in rows}

    def rows(
        self, quarantine_id: int, *, mask: Sequence[str] = (), limit: int | None = None
    ) -> Iterator[tuple[Any, ...]]:
        """Yield the column names, and then the quarantined rows."""
        from psycopg.rows import tuple_row

        found = self.get(quarantine_id)
        relation = Relation.parse(found.relation)
        names = tuple(column.name for column in columns_of(self._db, relation))
        if not names:
            msg = f"the rows of quarantine {quarantine_id} were collected; it {found.whereabouts}."
            raise NotFoundError(msg)
        if unknown := [name for name in mask if name not in names]:
            what = f"column of quarantine {quarantine_id}"
            raise NotFoundError.from_available(what, unknown[0], names)
        shown = ", ".join(
            shown_sql(name, masked=True) if name in mask else quote_identifier(name) for name in names
        )
        with (
            self._db.transaction(),
            self._db.raw.cursor(name="dataml_quarantine", row_factory=tuple_row) as cursor,
        ):
            cursor.itersize = _FETCH
            cursor.execute(f"SELECT {shown} FROM {relation.quoted} LIMIT %s", [limit])
            yield names
            yield from cursor

    @contextmanager
    def _in_time(self, timeout_s: float) -> Iterator[None]:
        with self._db.transaction():
            self._db.execute(f"SET LOCAL statement_timeout = {max(int(timeout_s * 1000), 1)}")
            yield
            self._db.execute("SET LOCAL statement_timeout = DEFAULT")


def _any(conditions: Sequence[str]) -> str:
    return " OR ".join(map(_met, conditions))


def _met(condition: str) -> str:
    return f"({condition}) IS TRUE"
