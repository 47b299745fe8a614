"""What a registry holds beside what we left there: the differences that somebody else made."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from airflow_dataml.core.errors import PolicyError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_dataml.core.registry_reading import RegisteredModel

OutsidePolicy = Literal["record", "restore", "adopt"]
DriftKind = Literal["alias", "version_tag", "model_tag", "version"]
REGISTERED, GONE = "registered", "gone"
# Written by the registry itself and by its client programs.
_ITS_OWN = "mlflow."


@dataclass(frozen=True, slots=True)
class AliasPosition:
    """Where an alias of the registry should be, as far as the outbox knows.

    :param delivered: the version we left it at; ``None`` where we removed it, or never set it.
    :param waiting: versions it is still to be brought to, in order.
    :param newest: what became of the newest event: ``pending``, ``delivered`` or ``dead``.
    """

    delivered: int | None = None
    waiting: tuple[int | None, ...] = ()
    newest: str | None = None


@dataclass(frozen=True, slots=True)
class Outside:
    """One thing that is otherwise in the registry than we left it.

    :param what: an alias, a tag of a version or of the model, or a version itself.
    :param name: the alias, the tag's key, or the version's number.
    :param version: the version a tag belongs to.
    :param ours: what we left; ``None`` for nothing. Of a version ``registered`` where it is ours.
    :param found: what is there; ``None`` for nothing. Of a version ``registered`` or ``gone``.
    """

    what: DriftKind
    name: str
    ours: str | None
    found: str | None
    version: int | None = None

    @property
    def said(self) -> str:
        """The difference in words."""
        where = f"of version {self.version} " if self.version is not None else ""
        if self.what == "version":
            how = "was registered outside" if self.found == REGISTERED else "was deleted"
            return f"version {self.name} {how}"
        kind = "alias" if self.what == "alias" else "tag"
        return f"{kind} {self.name!r} {where}is {_shown(self.found)}, we left {_shown(self.ours)}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_dict`` wrote, with or without what was noted beside it."""
        return cls(data["what"], data["name"], data["ours"], data["found"], data.get("version"))


@dataclass(frozen=True, slots=True)
class LeftThere:
    """What we left in a registry of one model, or have taken over.

    :param aliases: by alias; see ``AliasPosition``.
    :param version_tags: by version of the registry, the tags it should have.
    :param gone: versions whose deletion was taken over.
    """

    aliases: Mapping[str, AliasPosition] = field(default_factory=dict)
    version_tags: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    model_tags: Mapping[str, str] = field(default_factory=dict)
    gone: frozenset[int] = frozenset()


def check_policy(policy: str) -> OutsidePolicy:
    """Return what shall be done about changes made outside, or refuse the word.

    >>> check_policy("record")
    'record'
    """
    for known in get_args(OutsidePolicy):
        if policy == known:
            return policy  # type: ignore[return-value]  # one of its own words
    msg = f"on_outside_change {policy!r} is unknown: write one of {', '.join(get_args(OutsidePolicy))}."
    raise PolicyError(msg)


def outside_changes(
    left: LeftThere, found: RegisteredModel, *, unfinished: frozenset[int] = frozenset()
) -> tuple[Outside, ...]:
    """Return what is otherwise than we left it, in a stable order.

    What the registry itself writes, and what we still have to deliver, is no change of anybody's.

    :param unfinished: versions that a training of ours registered and the ledger does not have yet.
    """
    return (
        *_versions(left, found, unfinished),
        *_aliases(left, found),
        *_tags("model_tag", None, left.model_tags, found.tags),
        *(
            change
            for version in found.versions
            if version.version in left.version_tags
            for change in _tags(
                "version_tag", version.version, left.version_tags[version.version], version.tags
            )
        ),
    )


def _aliases(left: LeftThere, found: RegisteredModel) -> Iterator[Outside]:
    for alias in sorted({*left.aliases, *found.aliases}):
        position = left.aliases.get(alias, AliasPosition())
        there = found.aliases.get(alias)
        if there != position.delivered and there not in position.waiting:
            yield Outside("alias", alias, _text(position.delivered), _text(there))


def _versions(left: LeftThere, found: RegisteredModel, unfinished: frozenset[int]) -> Iterator[Outside]:
    there = {version.version for version in found.versions}
    for number in sorted(there - set(left.version_tags) - unfinished):
        yield Outside("version", str(number), None, REGISTERED)
    for number in sorted(set(left.version_tags) - there - left.gone):
        yield Outside("version", str(number), REGISTERED, GONE)


def _tags(
    what: DriftKind, version: int | None, ours: Mapping[str, str], found: Mapping[str, str]
) -> Iterator[Outside]:
    for key in sorted({*ours, *found}):
        if not key.startswith(_ITS_OWN) and ours.get(key) != found.get(key):
            yield Outside(what, key, ours.get(key), found.get(key), version)


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def _shown(value: str | None) -> str:
    return "not set" if value is None else repr(value)
