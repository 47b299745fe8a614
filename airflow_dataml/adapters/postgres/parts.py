"""Parts on PostgreSQL: the immutable pieces that versions list, and the schemas they have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.column_maps import inherit_maps
from airflow_dataml.core.datasets import Column, Fingerprint, Part, schema_hash
from airflow_dataml.core.errors import VersionNotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.refs import FactKey
    from airflow_dataml.core.runs import TaskRun
    from airflow_dataml.core.stores import NewPart

_PART = """
SELECT p.part_id, a.name AS asset, p.locator, s.columns, p.row_count, p.hash_xor, p.hash_total, p.hash_algorithm,
       p.partition_key, p.profile, p.inputs, p.store, p.role, p.state, p.bytes, p.parent_id, p.replaces
FROM dataml.part p JOIN dataml.asset a USING (asset_id) JOIN dataml.schema_blob s ON s.schema_hash = p.schema_hash
"""


class PostgresParts:
    """What the ledger knows of parts; the half of ``core.ports.Versions`` that is about them."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def part_of(self, fact: FactKey) -> Part | None:
        """Return the part a fact staged."""
        row = self._db.row(_PART + "WHERE p.fact_key = %s", [str(fact)])
        return _part(row) if row else None

    def part(self, part_id: int) -> Part:
        """Return a part."""
        row = self._db.row(_PART + "WHERE p.part_id = %s", [part_id])
        if row is None:
            msg = f"part {part_id} is not in the ledger; was the stage task's ledger another one?"
            raise VersionNotFoundError(msg)
        return _part(row)

    def add_part(
        self,
        *,
        run: TaskRun,
        fact: FactKey,
        part: NewPart,
        store: str = "postgres",
        inputs: Sequence[int] = (),
        parent_id: int | None = None,
    ) -> Part:
        """Record a part that a store has made."""
        from psycopg.types.json import Jsonb

        mark = part.fingerprint
        part_id = self._db.scalar(
            """
            INSERT INTO dataml.part (asset_id, run_key, fact_key, locator, schema_hash, partition_key, row_count,
                                     hash_xor, hash_total, hash_algorithm, profile, inputs, store, role, bytes,
                                     parent_id, replaces)
            SELECT asset_id, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s
            FROM dataml.asset WHERE name = %s
            RETURNING part_id
            """,
            [
                run.run_key, str(fact), part.locator, self._schema(part.columns), part.partition_key, mark.rows,
                mark.xor, mark.total, mark.algorithm, Jsonb(part.profile), list(inputs), store, part.role,
                part.bytes, parent_id, list(part.replaces), fact.asset,
            ],
        )  # fmt: skip
        if part.role != "batch" and part.replaces:
            inherit_maps(self._db, part_id, part.replaces, inputs)
        return self.part(part_id)

    def rewrites_of(self, part_id: int) -> tuple[Part, ...]:
        """Return the parts written anew for the merge of a batch."""
        rows = self._db.rows(
            # Not by the part of the key before a tilde: run ids may have one too.
            _PART
            + """JOIN dataml.part b ON b.run_key = p.run_key AND p.fact_key = b.fact_key || '~' || p.replaces[1]
                 WHERE p.role = 'rewrite' AND b.part_id = %s ORDER BY p.part_id""",
            [part_id],
        )
        return tuple(_part(row) for row in rows)

    def mark_parts(self, part_ids: Sequence[int], *, state: str) -> None:
        """Record that the rows of some parts are gone, and forget what was measured of them."""
        self._db.execute("DELETE FROM dataml.part_state WHERE part_id = ANY (%s)", [list(part_ids)])
        self._db.execute(
            "UPDATE dataml.part SET state = %s, gone_at = now() WHERE part_id = ANY (%s)",
            [state, list(part_ids)],
        )

    def set_profile(self, part_id: int, profile: Mapping[str, Any]) -> Part:
        """Replace a part's profile and return the part."""
        from psycopg.types.json import Jsonb

        self._db.execute(
            "UPDATE dataml.part SET profile = %s WHERE part_id = %s", [Jsonb(dict(profile)), part_id]
        )
        return self.part(part_id)

    def manifest(self, version_id: int, *, profiles: bool = True) -> tuple[Part, ...]:
        """Return the parts of a version in order; without profiles at a tenth of the cost."""
        rows = self._db.rows(
            (_PART if profiles else _PART.replace("p.profile", "'{}'::jsonb AS profile"))
            + "JOIN dataml.version_part vp USING (part_id) WHERE vp.version_id = %s ORDER BY vp.position",
            [version_id],
        )
        return tuple(_part(row) for row in rows)

    def _schema(self, columns: Sequence[Column]) -> str:
        from psycopg.types.json import Jsonb

        key = schema_hash(tuple(columns))
        self._db.execute(
            "INSERT INTO dataml.schema_blob (schema_hash, columns) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            [key, Jsonb([[c.name, c.type] for c in columns])],
        )
        return key


def columns_from(blob: Sequence[Sequence[str]]) -> tuple[Column, ...]:
    """Return the columns that a row of ``schema_blob`` holds."""
    return tuple(Column(name, type_) for name, type_ in blob)


def _part(row: Mapping[str, Any]) -> Part:
    return Part(
        part_id=row["part_id"],
        asset=row["asset"],
        locator=row["locator"],
        columns=columns_from(row["columns"]),
        fingerprint=Fingerprint(
            row["row_count"], int(row["hash_xor"]), int(row["hash_total"]), row["hash_algorithm"]
        ),
        partition_key=row["partition_key"],
        profile=row["profile"],
        inputs=tuple(row["inputs"]),
        store=row["store"],
        role=row["role"],
        state=row["state"],
        bytes=row["bytes"],
        parent_id=row["parent_id"],
        replaces=tuple(row["replaces"]),
    )
