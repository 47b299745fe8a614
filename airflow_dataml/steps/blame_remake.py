"""Making a batch again without a change: the queries on the way run once more, and nothing of it stays."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.refs import AssetNaming, Relation
from airflow_dataml.steps.blame_leads import transform_of
from airflow_dataml.steps.blame_sample import require_readable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_dataml.core.datasets import Column, Part
    from airflow_dataml.core.ports import Ledger, Warehouse
    from airflow_dataml.core.transforms import Transform
    from airflow_dataml.steps.blame_leads import Lead


# Queries run again for one change at most: the ways down from a source may be many.
_STEPS = 50


class _Undo(Exception):
    """Ends a transaction that was never meant to stay."""


@contextmanager
def remade(ledger: Ledger, warehouse: Warehouse, lead: Lead) -> Iterator[tuple[Part, ...] | None]:
    """Make the batch again without a change, for the length of a block; nothing of it stays.

    Yields the parts that were made, the nearest to the source first; ``None`` where a step was made by no query
    that can be run again.

    :raises SpecError: too many steps lie on the ways down, or rows are gone.
    """
    made: dict[int, tuple[Part, ...]] = dict(lead.instead)
    steps = [(part, transform_of(ledger, part)) for part in reversed(lead.chain)]
    if len(steps) > _STEPS:
        msg = f"{len(steps)} queries lie between {lead.suspect.version} and the model, and at most {_STEPS} are run again: look at the datasets between."
        raise SpecError(msg)
    if not steps or any(t is None or t.parameters is None or p.store != "postgres" for p, t in steps):
        yield None
        return
    try:
        with ledger.transaction():
            for part, transform in steps:
                if transform is None:
                    continue
                earlier = lead.query if part.part_id == lead.suspect.part_id else None
                sql = transform.sql if earlier is None else earlier
                made[part.part_id] = (_run(ledger, warehouse, part, sql, transform, made),)
            yield tuple(replace(made[p.part_id][0]) for p, _ in steps)
            raise _Undo
    except _Undo:
        return


def _run(
    ledger: Ledger,
    warehouse: Warehouse,
    part: Part,
    sql: str,
    transform: Transform,
    made: Mapping[int, tuple[Part, ...]],
) -> Part:
    bound: dict[str, tuple[Sequence[Part], Sequence[Column]]] = {}
    for name, version_id in transform.inputs.items():
        manifest = ledger.versions.manifest(version_id)
        parts = [q for p in manifest for q in made.get(p.part_id, (p,))]
        require_readable(parts, what=f"{name}, as {part.asset} reads it,")
        bound[name] = (parts, ledger.versions.columns(version_id))
    warehouse.bind(bound)
    digest = hashlib.sha256(f"blame {part.part_id}".encode()).hexdigest()[:24]
    scratch = Relation(AssetNaming.data_schema, f"blame_{digest}")
    warehouse.create_from_select(scratch, sql, transform.parameters)
    return replace(part, locator=str(scratch), columns=warehouse.columns(scratch))
