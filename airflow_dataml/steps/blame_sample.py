"""Rows of an alarmed batch and of its reference, as arrays a model reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.features import as_coded, as_numbers
from airflow_dataml.core.refs import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.core.datasets import Part
    from airflow_dataml.core.ports import Warehouse
    from airflow_dataml.steps.blame_scene import Scene


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows of one side: what the model reads, the labels (NaN where unknown) and the keys."""

    columns: dict[str, Any]
    labels: Any
    keys: tuple[Any, ...]

    def __len__(self) -> int:
        return len(self.keys)


def sample_of(
    warehouse: Warehouse, scene: Scene, parts: Sequence[Part], *, rows: int, fresh: bool = False
) -> Sample:
    """Read rows by the hash of their keys, so that two samples of one batch are of the same keys.

    :param rows: how many at most.
    :param fresh: of the training's rows prefer those the model has not seen.
    :raises SpecError: the rows are gone, or another store keeps them.
    """
    plan, kinds, target = scene.plan, scene.inputs, scene.spec["target"]
    names = tuple(dict.fromkeys((*kinds, target, *plan.key_columns, plan.time_column)))
    require_readable(parts, what=f"the rows of {scene.features.asset}")
    own = {c.name for part in parts for c in part.columns}
    read = [quote_identifier(n) if n in own else f"NULL AS {quote_identifier(n)}" for n in (*kinds, target)]
    keys = " || '|' || ".join(f"coalesce({quote_identifier(k)}::text, '')" for k in plan.key_columns)
    time = quote_identifier(plan.time_column)
    first = f"({time} >= %s::timestamptz) DESC NULLS LAST, " if fresh else ""
    found = warehouse.query(
        f"""SELECT {", ".join(read)}, {keys} AS dataml_key
            FROM ({warehouse.union(parts, [n for n in names if n in own])}) t
            ORDER BY {first}hashtextextended({keys}, 0) LIMIT {rows}""",
        [plan.cut] if fresh else None,
    )
    return Sample(
        {name: _column(name, kind, [row[name] for row in found]) for name, kind in kinds.items()},
        as_numbers(target, [row[target] for row in found]),
        tuple(row["dataml_key"] for row in found),
    )


def _column(name: str, kind: str, values: list[Any]) -> Any:
    return as_numbers(name, values) if kind == "numeric" else as_coded(values).to_objects()


def require_readable(parts: Sequence[Part], *, what: str) -> None:
    """Refuse rows that are gone, or that the database does not keep.

    :raises SpecError: some are.
    """
    if not parts or any(p.state != "live" or p.store != "postgres" for p in parts):
        msg = f"{what} cannot be read again: retention collected them, or another store than PostgreSQL keeps them."
        raise SpecError(msg)
