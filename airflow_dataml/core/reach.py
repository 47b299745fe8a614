"""Reach: where rows went that somebody wants to be forgotten."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from airflow_dataml.core.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Via = Literal["rows", "learnt", "measured", "through", "lineage"]
MOST_KEYS = 1000


@dataclass(frozen=True, slots=True)
class RowKeys:
    """Rows, named by the values of their key columns.

    What is kept of them anywhere is how many there were: a key may be what is to be forgotten.

    :param columns: names of the key columns, each once.
    :param values: of each row, as text, in the order of the columns.
    """

    columns: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, str]]) -> RowKeys:
        """Read rows that all name the same columns; an equal one twice is one.

        :raises SpecError: there is none, there are too many, or their columns differ.

        >>> RowKeys.of([{"id": "7"}, {"id": "7"}, {"id": "8"}]).values
        (('7',), ('8',))
        """
        if not rows or not rows[0]:
            msg = "no row was named: write column=value for each key column, or give a file of keys."
            raise SpecError(msg)
        columns = tuple(rows[0])
        for row in rows:
            if set(row) != set(columns):
                msg = (
                    f"rows are named by the same columns each, received {sorted(columns)} and {sorted(row)}."
                )
                raise SpecError(msg)
        values = tuple(dict.fromkeys(tuple(row[name] for name in columns) for row in rows))
        if len(values) > MOST_KEYS:
            msg = (
                f"{len(values)} rows were named, at most {MOST_KEYS} are looked for at once: ask in several."
            )
            raise SpecError(msg)
        return cls(columns, values)

    def __repr__(self) -> str:
        return f"RowKeys(columns={self.columns!r}, rows={len(self.values)})"


@dataclass(frozen=True, slots=True)
class Reached:
    """Something that holds the rows, or was made from them.

    :param versions: numbers of the versions, ascending.
    :param via: ``rows``, they are in it; ``learnt`` or ``measured``, a model was trained or evaluated on them;
        ``through`` another model that learnt from them; ``lineage``, it was made from them and cannot be searched by
        their key.
    :param rows: how many of its rows they are; ``None`` where it cannot be searched.
    :param in_use: aliases that stand at one of these versions now.
    """

    asset: str
    kind: str
    versions: tuple[int, ...]
    via: Via
    rows: int | None = None
    in_use: tuple[str, ...] = ()

    @property
    def said(self) -> str:
        """In words."""
        first, last = self.versions[0], self.versions[-1]
        numbers = f"@{first}" if first == last else f"@{first} to @{last} ({len(self.versions)} versions)"
        how = {
            "rows": f"holds {self.rows} of them",
            "learnt": f"learnt from {self.rows} of them",
            "measured": f"was measured on {self.rows} of them",
            "through": "began with, or was taught by, a model that learnt from them",
            "lineage": "was made from what holds them, and has no such key to look for",
        }[self.via]
        use = f"; in use as {', '.join(self.in_use)}" if self.in_use else ""
        return f"{self.asset}{numbers} {how}{use}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self) | {
            "versions": list(self.versions),
            "in_use": list(self.in_use),
            "said": self.said,
        }


@dataclass(frozen=True, slots=True)
class Reach:
    """Everything that some rows of a dataset reached.

    :param searched: named rows.
    :param blind: what could not be searched, and why; nothing is known of it.
    :param aside: what holds some and is in no version: batches that were never published, rows set aside.
    """

    dataset: str
    columns: tuple[str, ...]
    searched: int
    found: tuple[Reached, ...]
    blind: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()

    @property
    def models(self) -> tuple[Reached, ...]:
        """Models in use that learnt from the rows, by themselves or through another."""
        return tuple(
            one
            for one in self.found
            if one.kind == "model" and one.in_use and one.via in ("learnt", "through", "lineage")
        )

    @property
    def verdict(self) -> str:
        """``pass`` where nothing holds or learnt from them, ``unknown`` where something could not be searched."""
        if self.found or self.aside:
            return "fail"
        return "unknown" if self.blind else "pass"

    @property
    def summary(self) -> str:
        """In one sentence."""
        rows = f"{self.searched} row{'s' if self.searched != 1 else ''} of {self.dataset}"
        if not self.found and not self.aside:
            return f"nothing that could be searched holds {rows}" if self.blind else f"nothing holds {rows}"
        kinds = {
            kind: sum(one.kind == kind for one in self.found) for kind in ("dataset", "prediction", "model")
        }
        kinds["place beside versions"] = len(self.aside)
        told = ", ".join(f"{n} {kind}{'s' if n != 1 else ''}" for kind, n in kinds.items() if n)
        return f"{rows} reached {told}; {len(self.models)} model{'s' if len(self.models) != 1 else ''} in use"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, without the values of the keys."""
        return {
            "dataset": self.dataset,
            "key_columns": list(self.columns),
            "searched": self.searched,
            "found": [one.to_dict() for one in self.found],
            "blind": list(self.blind),
            "aside": list(self.aside),
            "summary": self.summary,
        }
