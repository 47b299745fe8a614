"""Releases: dataset versions and models that readers come to see together."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.runs import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow_dataml.core.approvals import ApprovalPolicy
    from airflow_dataml.core.datasets import StagedPart
    from airflow_dataml.core.stores import Place

ReleaseKind = Literal["dataset", "model"]


@dataclass(frozen=True, slots=True)
class ReleaseEntry:
    """One asset of a release.

    :param content: what is in the version: a dataset's fingerprint, the digest of a model's files.
    :param version: the version readers are to see; ``None`` for a staged batch, which gets its number when
        it is released.
    :param left: the version they saw; ``None`` where there was none.
    """

    asset: str
    kind: ReleaseKind
    content: str
    version: str | None
    left: str | None

    @property
    def moves(self) -> bool:
        """Whether readers will see another version than before."""
        return self.version is None or self.version != self.left

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_dict`` wrote."""
        return cls(**data)


@dataclass(frozen=True, slots=True)
class Release:
    """Target dataset versions and models, ordered by asset."""

    entries: tuple[ReleaseEntry, ...]

    @classmethod
    def of(cls, entries: Iterable[ReleaseEntry]) -> Self:
        """Order what is released.

        :raises SpecError: there is nothing, or an asset twice.
        """
        ordered = tuple(sorted(entries, key=lambda entry: entry.asset))
        require_distinct(entry.asset for entry in ordered)
        return cls(ordered)

    @property
    def release_hash(self) -> str:
        """Content address of what readers come to see; equal whatever they saw before.

        >>> Release.of([ReleaseEntry("rides", "dataset", "pg2-00", "rides@2", "rides@1")]).release_hash[:8]
        'e358296e'
        """
        payload = json.dumps([[entry.asset, entry.kind, entry.content] for entry in self.entries])
        return hashlib.sha256(payload.encode()).hexdigest()[:32]

    @property
    def moves(self) -> tuple[ReleaseEntry, ...]:
        """The entries that change what readers see."""
        return tuple(entry for entry in self.entries if entry.moves)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, small enough for XCom."""
        return {"release_hash": self.release_hash, "entries": [entry.to_dict() for entry in self.entries]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_dict`` wrote; the hash is computed anew."""
        return cls.of(ReleaseEntry.from_dict(entry) for entry in data["entries"])


@dataclass(frozen=True, slots=True)
class DatasetTarget:
    """What readers of a dataset are to see.

    :param to: a version they saw before, ``name@number``; or a staged part, which is published.
    """

    place: Place
    to: str | StagedPart


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """What a release is asked for, by a person or a task.

    :param models: the version of each model that is to be champion.
    :param expected: the version of an asset that readers are to see until then; those at the start unless given.
    :param approved: the release's hash; any other content is refused.
    :param approval: who must have approved exactly this content.
    :param require_check: refuse a staged part that no passed check speaks for.
    """

    reason: str
    datasets: tuple[DatasetTarget, ...] = ()
    models: Mapping[str, str] | None = None
    expected: Mapping[str, str | None] | None = None
    approved: str | None = None
    approval: ApprovalPolicy | None = None
    require_check: bool = True

    @property
    def assets(self) -> list[str]:
        """Their names in the order in which they are locked."""
        return sorted([*(one.place.asset for one in self.datasets), *(self.models or {})])

    @property
    def digest(self) -> str:
        """What is asked for, whatever it comes to now."""
        parts = {
            one.place.asset: one.to if isinstance(one.to, str) else one.to.part_id for one in self.datasets
        }
        return digest_of(datasets=parts, models=dict(self.models or {}))


def require_distinct(assets: Iterable[str]) -> None:
    """Refuse a release of nothing, or of an asset twice.

    :raises SpecError: says which.
    """
    counts = Counter(assets)
    if not counts:
        msg = "a release of nothing was asked for: name at least one dataset or model."
        raise SpecError(msg)
    if twice := sorted(asset for asset, count in counts.items() if count > 1):
        msg = f"the release names {twice} more than once: write each asset with one version."
        raise SpecError(msg)
