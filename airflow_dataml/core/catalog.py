"""The catalog as values: what is said of an asset, who may say it over whom, and what is asked for."""

from __future__ import annotations

import hashlib
import json
import re
import string
from dataclasses import dataclass, field
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, get_args

from airflow_dataml.core.datasets import Column, schema_hash
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.refs import ASSET_KINDS, AssetKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

AssetStatus = Literal["active", "missing", "deleted"]
STATUSES: tuple[AssetStatus, ...] = get_args(AssetStatus)
IMPORTANCES = ("critical", "high", "moderate", "low")
# Whoever stands higher is not overruled by whoever stands lower; equals are, by whoever spoke last.
_RANKS = {"observed": 0, "crawled": 1, "imported": 2, "described": 3, "declared": 4, "adopted": 4}
# Namespaces of aliases that are not OpenLineage's.
URI, ASSET = "uri", "asset"
_WORD_CHARACTERS = 200
_NAME_BYTES = 1000
_LONGEST_WORD = 100
_TEXT_CHARACTERS = 100_000
_PUNCTUATION = re.compile(f"[{re.escape(string.punctuation)}]")
_ODD = re.compile("[\x00\ud800-\udfff]")
_JOINED = re.compile("([a-z0-9])([A-Z])")
_PAIR = attrgetter("name", "type")


def rank(source: str) -> int:
    """Return how much the word of a source weighs.

    >>> rank("declared") > rank("described") > rank("crawled") > rank("observed")
    True
    """
    if source not in _RANKS:
        msg = f"source {source!r} is unknown: write one of {', '.join(_RANKS)}."
        raise SpecError(msg)
    return _RANKS[source]


@dataclass(frozen=True, slots=True)
class ColumnDoc:
    """What people say of one column."""

    name: str
    description: str | None = None
    tags: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the doc as plain JSON; what is not said is not there."""
        said = {"description": self.description, "tags": list(self.tags), "terms": list(self.terms)}
        return {"name": self.name} | {key: value for key, value in said.items() if value}


@dataclass(frozen=True, slots=True)
class AssetEntry:
    """What one source says of one asset; ``None`` and empty mean that it says nothing about that.

    :param subtype: what it is besides its kind: ``table``, ``view``, ``file``, ``topic``, ``registered_model`` ...
    :param description: one line; ``documentation`` is as long as it needs to be, in Markdown.
    :param freshness_s: the promise: seconds between two writes.
    :param columns: its schema now; ``None`` says nothing, an empty tuple that it has none.
    :param aliases: its other names, as (namespace, name): OpenLineage's, and uris in namespace ``uri``.
    :param source: who says so: declared, adopted, described, imported, crawled or observed.
    :param crawl_scope: the crawl that answers for its being there.
    """

    name: str
    kind: AssetKind
    uri: str
    subtype: str | None = None
    owner: str | None = None
    description: str | None = None
    documentation: str | None = None
    importance: str | None = None
    tags: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    domain: str | None = None
    asset_group: str | None = None
    freshness_s: int | None = None
    location: Mapping[str, Any] = field(default_factory=dict)
    columns: tuple[Column, ...] | None = None
    column_docs: tuple[ColumnDoc, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    source: str = "declared"
    crawl_scope: str | None = None
    # Thirty-two hex digits that name everything this entry says.
    digest: str = field(init=False, compare=False, default="")

    def __post_init__(self) -> None:
        rank(self.source)
        if self.kind not in ASSET_KINDS:
            self._refuse("kind", self.kind, f"one of {', '.join(ASSET_KINDS)}")
        if not 0 < len(self.name.encode(errors="surrogatepass")) <= _NAME_BYTES:
            self._refuse("name", self.name, f"1 to {_NAME_BYTES} bytes")
        if self.importance is not None and self.importance not in IMPORTANCES:
            self._refuse("importance", self.importance, f"one of {', '.join(IMPORTANCES)}")
        if self.freshness_s is not None and self.freshness_s <= 0:
            self._refuse("freshness", self.freshness_s, "seconds above zero")
        for what, word in self._words():
            if not 0 < len(word) <= _WORD_CHARACTERS:
                self._refuse(what, word, f"1 to {_WORD_CHARACTERS} characters")
        for what, text in (("description", self.description), ("documentation", self.documentation)):
            if text is not None and len(text) > _TEXT_CHARACTERS:
                self._refuse(what, f"{text[:40]}...", f"at most {_TEXT_CHARACTERS} characters")
        # What repr writes as an escape may be a character PostgreSQL has no place for.
        said = repr(self._said())
        if "\\" in said and _ODD.search("".join(self._texts())):
            self._refuse("text", self.name, "text without NUL and lone surrogates")
        object.__setattr__(self, "digest", hashlib.sha256(said.encode()).hexdigest()[:32])

    def _refuse(self, what: str, value: object, rule: str) -> None:
        msg = f"{what} {value!r} of asset {self.name!r} is not usable: write {rule}."
        raise SpecError(msg)

    def _words(self) -> Iterator[tuple[str, str]]:
        single = (
            ("owner", self.owner),
            ("domain", self.domain),
            ("subtype", self.subtype),
            ("group", self.asset_group),
        )
        yield from ((what, word) for what, word in single if word is not None)
        yield from (("tag", tag) for tag in self.tags)
        yield from (("term", term) for term in self.terms)
        for doc in self.column_docs:
            yield from (("tag", tag) for tag in doc.tags)
            yield from (("term", term) for term in doc.terms)

    def _texts(self) -> Iterator[str]:
        yield from (self.name, self.uri, self.description or "", self.documentation or "")
        yield from (word for _, word in self._words())
        for column in self.columns or ():
            yield from (column.name, column.type)
        for doc in self.column_docs:
            yield from (doc.name, doc.description or "")
        for alias in self.aliases:
            yield from alias
        yield from _texts_of(dict(self.location))

    @property
    def words(self) -> str:
        """What it is found by besides its name: words in lower case, parts of joinedWords too.

        >>> AssetEntry("rides", "dataset", "dataml://dataset/rides", owner="dataTeam").words
        'datateam data team'
        """
        own = self.own_words
        return f"{own} {schema_of(self.columns)[1]}".strip() if self.columns else own

    @property
    def own_words(self) -> str:
        """The same without its columns."""
        said = (self.description, (self.documentation or "")[:10_000], self.owner, self.domain)
        return search_words(" ".join(text for text in said if text))

    @property
    def rank(self) -> int:
        """How much the word of this entry weighs."""
        return rank(self.source)

    @property
    def schema_hash(self) -> str | None:
        """The content address of its schema; ``None`` where it says nothing about it."""
        return None if self.columns is None else schema_of(self.columns)[0]

    def _said(self) -> tuple[Any, ...]:
        return (
            self.name, self.kind, self.uri, self.subtype, self.owner, self.description, self.documentation,
            self.importance, self.tags, self.terms, self.domain, self.asset_group, self.freshness_s,
            json.dumps(dict(self.location), sort_keys=True, default=str) if self.location else "",
            None if self.columns is None else list(map(_PAIR, self.columns)),
            [(d.name, d.description, d.tags, d.terms) for d in self.column_docs], self.aliases, self.source,
            self.crawl_scope,
        )  # fmt: skip


def search_words(text: str) -> str:
    """Return a text as the words it is found by; the ledger's ``search_words`` says the same.

    >>> search_words("orderItems, by-day")
    'orderitems by day order items by day'
    """
    if _JOINED.search(text):
        text = text + " " + _JOINED.sub(r"\1 \2", text)
    words = _PUNCTUATION.sub(" ", text).lower().split()
    # A longer word is no word: a key, a picture in text.
    return " ".join(word for word in words if len(word) <= _LONGEST_WORD)


def schema_of(columns: tuple[Column, ...]) -> tuple[str, str]:
    """Return the content address of a schema and the words of its columns."""
    # Plain tuples are compared in a third of the time of columns, and most schemas were seen before.
    return _schema_of(tuple(map(_PAIR, columns)))


@lru_cache(maxsize=4096)
def _schema_of(columns: tuple[tuple[str, str], ...]) -> tuple[str, str]:
    words = search_words(" ".join([name for name, _ in columns])).split()
    return schema_hash(tuple(Column(*pair) for pair in columns)), " ".join(dict.fromkeys(words))


def _texts_of(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from (str(key), *_texts_of(inner))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts_of(inner)


@dataclass(frozen=True, slots=True)
class Registered:
    """What a registration came to, in numbers of assets."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0

    def __add__(self, other: Registered) -> Registered:
        return Registered(
            self.new + other.new, self.changed + other.changed, self.unchanged + other.unchanged
        )

    def to_dict(self) -> dict[str, int]:
        """Return the numbers as plain JSON."""
        return {"new": self.new, "changed": self.changed, "unchanged": self.unchanged}


@dataclass(frozen=True, slots=True)
class AssetFilter:
    """Which assets are asked for; every condition holds, and within one condition any value.

    :param status: only in these states; what is deleted is shown only when asked for.
    :param stale: with a promise of freshness that is broken (or, ``False``, kept).
    :param failing: whose newest checks failed or could not be evaluated (or, ``False``, passed).
    :param producer: the task that writes it, as ``dag.task``.
    """

    kinds: tuple[AssetKind, ...] = ()
    subtype: str | None = None
    owner: str | None = None
    tag: str | None = None
    term: str | None = None
    domain: str | None = None
    group: str | None = None
    producer: str | None = None
    importance: str | None = None
    stale: bool | None = None
    failing: bool | None = None
    status: tuple[AssetStatus, ...] = ("active", "missing")

    def __post_init__(self) -> None:
        for what, values, known in (("kind", self.kinds, ASSET_KINDS), ("status", self.status, STATUSES)):
            for value in values:
                if value not in known:
                    msg = f"{what} {value!r} is unknown: write one of {', '.join(known)}."
                    raise SpecError(msg)
