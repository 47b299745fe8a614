"""Searching as values: the question, the words in it, the hits and the key of the next page."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.catalog import search_words

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

# Shorter words are too like too many others, and those with digits are numbers and codes.
_MENDABLE = 4
_PREFIX = 7
_TWO_SLIPS = 8
_MOST_WORDS = 8


@dataclass(frozen=True, slots=True)
class AssetHit:
    """An asset that was found, with what a list shows of it.

    :param stale: whether its promise of freshness is broken; ``None`` without a promise.
    :param verdict: of its newest checks; ``None`` where it was never checked.
    :param producers: tasks and other jobs that write it; ``consumers`` those that read it.
    :param models: models that were trained on it or depend on it otherwise.
    """

    name: str
    kind: str
    subtype: str | None
    status: str
    owner: str | None
    description: str | None
    importance: str
    domain: str | None
    asset_group: str | None
    tags: tuple[str, ...]
    terms: tuple[str, ...]
    source: str
    last_write: datetime | None
    freshness_s: int | None
    stale: bool | None
    verdict: str | None
    incidents: int
    version: int | None
    rows: int | None
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    models: tuple[str, ...]
    score: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the hit as plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class SearchPage:
    """Hits, best first, and how to go on.

    :param after: key of the next page; ``None`` when there is none.
    :param mended: what was looked for instead of words that nothing is called, by the word typed.
    :param capped: more was found than is ranked; another word narrows it down.
    """

    hits: tuple[AssetHit, ...]
    after: str | None = None
    mended: dict[str, tuple[str, ...]] = field(default_factory=dict)
    capped: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the page as plain JSON."""
        return asdict(self)


def words_of(text: str) -> tuple[str, ...]:
    """Return the words of a question, in the order they were typed.

    >>> words_of("Orders.by-day orders")
    ('orders', 'by', 'day')
    """
    return tuple(dict.fromkeys(search_words(text.lower()).split()))[:_MOST_WORDS]


def lexeme(text: str) -> str:
    """Return a word as a literal of a tsquery.

    >>> lexeme("it's")
    "'it''s'"
    """
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def slips(word: str) -> tuple[str, ...]:
    """Return the keys by which words a slip away are found; none for a word too short to be mended.

    >>> sorted(set(slips("ridse")) & set(slips("rides")))
    ['ride', 'rids']
    """
    if len(word) < _MENDABLE or re.search("[0-9]", word):
        return ()
    start = word[:_PREFIX]
    return tuple(sorted({start, *(start[:i] + start[i + 1 :] for i in range(len(start)))}))


def closest(word: str, candidates: Iterable[str], *, most: int = 8) -> tuple[str, ...]:
    """Return the words that a typed one, or its continuation, may have been meant for; nearest first.

    >>> closest("custmer", ["customer", "customers", "custom", "mercury"])
    ('customer', 'customers')
    """
    allowed = 2 if len(word) >= _TWO_SLIPS else 1
    found = []
    for candidate in set(candidates):
        row = _distances(word, candidate)
        begun = min(row[max(1, len(word) - 1) : len(word) + 2], default=row[-1])
        if min(row[-1], begun) <= allowed:
            found.append((min(row[-1], begun + 0.5), row[-1], candidate))
    return tuple(candidate for _, _, candidate in sorted(found)[:most])


def distance(one: str, other: str) -> int:
    """Return how many letters to insert, delete, replace or swap with their neighbour make one word the other.

    >>> distance("ridse", "rides"), distance("rides", "ride"), distance("abc", "xyz")
    (1, 1, 3)
    """
    return _distances(one, other)[-1]


def _distances(one: str, other: str) -> list[int]:
    """Return the distance of a word to every beginning of another."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        older, before, row = before, row, [i]
        for j, b in enumerate(other, start=1):
            cost = min(row[j - 1] + 1, before[j] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
    return row
