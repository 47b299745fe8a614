"""Our own block of a contract, ``x-dataml``: what Soda's language has no words for; Soda never sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field

from airflow_dataml.core.contract_expectations import (
    EXTENSION,
    AnomalyCheck,
    DistributionCheck,
    ExtensionCheck,
    ReferenceCheck,
)
from airflow_dataml.core.contract_rules import Part

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_dataml.core.contract_parts import ContractCheck, ContractColumn

OnFail = Literal["reject", "quarantine", "warn"]
__all__ = ["EXTENSION", "Extension", "Misfit", "OnFail", "Quarantine", "Samples"]


class Quarantine(Part):
    """How much may be set aside before the whole batch is refused.

    :param max_fraction: rows that may be set aside, as a share of the batch.
    :param cap: rows that may be set aside at most.
    """

    max_fraction: float = Field(0.01, gt=0, le=1)
    cap: int = Field(10_000, ge=1)


class Samples(Part):
    """Rows that a report may show of those that failed.

    :param rows: how many at most; 0 shows none.
    :param mask: columns whose values are never shown.
    """

    rows: int = Field(5, ge=0, le=100)
    mask: list[str] = Field(default_factory=list)


class Extension(Part):
    """Our own block of a contract.

    :param on_fail: ``reject`` keeps data that breaks the contract from being published; ``quarantine`` sets the
        rows at fault aside and publishes the rest; ``warn`` publishes it all and says so.
    :param require_rows: an empty table breaks the contract; without it, a check that needs a row to
        measure anything passes on an empty table.
    :param anomalies: numbers against what their past foretells.
    :param distributions: columns against a version.
    :param references: columns against the keys of other managed datasets.
    """

    on_fail: OnFail = "reject"
    require_rows: bool = True
    quarantine: Quarantine = Field(default_factory=Quarantine)
    samples: Samples = Field(default_factory=Samples)
    anomalies: list[AnomalyCheck] = Field(default_factory=list)
    distributions: list[DistributionCheck] = Field(default_factory=list)
    references: list[ReferenceCheck] = Field(default_factory=list)

    @property
    def checks(self) -> tuple[ExtensionCheck, ...]:
        """Every check of the block."""
        return (*self.anomalies, *self.distributions, *self.references)

    def problems(
        self, columns: Sequence[ContractColumn], checks: Sequence[ContractCheck]
    ) -> Iterator[Misfit]:
        """Find what does not fit the rest of the contract."""
        names, numeric = [c.name for c in columns], [c.id for c in checks if c.type != "schema"]
        column, check = "column of this contract", "check of this contract with a number to look at"
        named: list[tuple[tuple[str | int, ...], str | None, str, Sequence[str]]] = [
            *((("samples", "mask", i), name, column, names) for i, name in enumerate(self.samples.mask)),
            *((("anomalies", i, "metric"), a.column, column, names) for i, a in enumerate(self.anomalies)),
            *((("anomalies", i, "check"), a.check, check, numeric) for i, a in enumerate(self.anomalies)),
            *(
                (("distributions", i, "column"), d.column, column, names)
                for i, d in enumerate(self.distributions)
            ),
            *(
                (("references", i, "columns", n), name, column, names)
                for i, r in enumerate(self.references)
                for n, name in enumerate(r.columns)
            ),
        ]
        for path, name, what, known in named:
            if name is not None and name not in known:
                yield Misfit(path, name, what, known)
        places: list[tuple[str | int, ...]] = [
            (kind, index)
            for kind in ("anomalies", "distributions", "references")
            for index in range(len(getattr(self, kind)))
        ]
        seen: set[str] = set()
        for path, item in zip(places, self.checks, strict=True):
            if item.id in seen:
                yield Misfit(path, item.id, "check", None)
            seen.add(item.id)


class Misfit(NamedTuple):
    """A name in our block that the rest of the contract does not know, or that is there twice.

    :param what: what it should be the name of.
    :param known: the names there are; ``None`` where it is one of them already.
    """

    path: tuple[str | int, ...]
    name: str
    what: str
    known: Sequence[str] | None
