"""Search over every asset: as one types, with slips, within filters; bounded work whatever is asked.

Every way to be found has a limit of its own: the very name, names that begin so, words of names, words
anywhere. Ranking is within what these bring. One inverted index holds words and filters together.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_dataml.adapters.postgres.search_page import page_of
from airflow_dataml.core.catalog import AssetFilter
from airflow_dataml.core.catalog_search import SearchPage, closest, lexeme, slips, words_of
from airflow_dataml.core.errors import SpecError

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.connection import Connection

EVERYTHING = AssetFilter()
# What each way of being found brings at most.
_NAMES, _NAMED, _FOUND = 60, 400, 800
_COMPLETIONS = 24
_CANDIDATES = 1000
# A word that more than so many assets have narrows nothing down: reading its entries in the index takes
# longer than looking for it in assets found otherwise, or in the first of all.
_WIDE = 0.1
_LOOKED_AT = 8000
# One or two letters begin too many words: a name that begins with them is meant, or they are all of a word.
_SHORT = 2
_LAST = "\U0010ffff"
_STALE = "(a.freshness_s IS NOT NULL AND coalesce(a.last_write, a.first_seen) < now() - a.freshness_s * interval '1 second')"
_FAILING = "EXISTS (SELECT FROM dataml.asset_verdict f WHERE f.asset_id = a.asset_id AND f.verdict IN ('fail', 'error'))"
_WAYS = f"""
  (SELECT a.asset_id, 4 AS way FROM dataml.asset a WHERE a.name = %(text)s AND {{where}})
  UNION ALL
  (SELECT a.asset_id, 4 FROM dataml.asset a WHERE lower(a.name) = %(lower)s AND {{where}} LIMIT {_NAMES})
  UNION ALL
  (SELECT a.asset_id, 3 FROM dataml.asset a
   WHERE lower(a.name) ~>=~ %(lower)s AND lower(a.name) ~<~ %(beyond)s AND {{where}} ORDER BY lower(a.name) USING ~<~ LIMIT {_NAMES})
"""
_NAME_WORDS = f"""
  UNION ALL
  (SELECT * FROM named)
  UNION ALL
  (SELECT a.asset_id, 1 FROM {{found}} a WHERE (SELECT count(*) FROM named) < {_NAMED} AND {{found_where}} LIMIT {_FOUND})
"""
_NAMED_FIRST = f"named AS MATERIALIZED (SELECT a.asset_id, 2 AS way FROM {{named}} a WHERE {{named_where}} LIMIT {_NAMED}), "
_FIRST = f"(SELECT * FROM dataml.asset ORDER BY asset_id LIMIT {_LOOKED_AT})"
# As of the last ANALYZE; words it does not know are rare.
_SPREAD = """
SELECT e.word, e.share FROM pg_stats s,
  unnest(s.most_common_elems::text::text[], s.most_common_elem_freqs[1:cardinality(s.most_common_elems::text::text[])]) e (word, share)
WHERE s.schemaname = 'dataml' AND s.tablename = 'asset' AND s.attname = 'tsv' AND e.word = ANY (%s)
"""
# What matters stands above what is only found; a stub nobody described below both.
_RANK = """
WITH {first}ways AS ({ways}), best AS (SELECT asset_id, max(way) AS way FROM ways GROUP BY asset_id),
ranked AS (
  SELECT a.asset_id, a.name, best.way * 100
    + CASE a.importance WHEN 'critical' THEN 30 WHEN 'high' THEN 20 WHEN 'moderate' THEN 10 ELSE 0 END
    + dataml.source_rank(a.source) * 4 + CASE a.kind WHEN 'external' THEN 0 ELSE 4 END
    - least(length(a.name), 60) / 10 - CASE a.status WHEN 'active' THEN 0 ELSE 40 END AS score
  FROM best JOIN dataml.asset a USING (asset_id)
)
SELECT asset_id, name, score, (SELECT count(*) FROM ranked) AS candidates FROM ranked
WHERE %(score)s::int IS NULL OR score < %(score)s OR (score = %(score)s AND name > %(name)s)
ORDER BY score DESC, name LIMIT %(limit)s
"""
_LIST = """
SELECT a.asset_id, a.name, 0 AS score FROM dataml.asset a
WHERE {where} AND a.name > %(name)s ORDER BY a.name LIMIT %(limit)s
"""
_COMPLETE = f"""
SELECT word FROM dataml.asset_word WHERE word ~>=~ %s AND word ~<~ %s ORDER BY word USING ~<~ LIMIT {_COMPLETIONS}
"""
_NEAR = f"SELECT DISTINCT word FROM dataml.asset_word WHERE near && %s LIMIT {_CANDIDATES}"


class _Asked(NamedTuple):
    """Where to look, and the condition there."""

    place: str
    condition: str


class PostgresSearch:
    """The catalog as people look for things in it.

    :param connection: the ledger's connection; reads only.
    """

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def search(
        self, text: str = "", filter: AssetFilter = EVERYTHING, *, after: str | None = None, limit: int = 50
    ) -> SearchPage:
        """Return a page of assets: the best first, or all by name where no word is given.

        :param text: words, the last of which may be unfinished; all of them must be there. When nothing has
            them, words a slip away are looked for instead.
        :param after: ``after`` of the page before.
        :param limit: hits on the page, at most 200.
        :raises SpecError: ``after`` is no key of a page.
        """
        limit = max(1, min(limit, 200))
        words, asked = words_of(text), bool(text.strip())
        score, name = _key(after, ranked=asked)
        with self._db.transaction():
            # Every part of the work has an index and a limit; without them the planner may read it all.
            self._db.execute("SET LOCAL enable_seqscan = off")
            if not asked:
                rows = self._list(filter, name, limit + 1)
                return self._page(rows, limit, ranked=False)
            rows = self._ranked(text, words, filter, score, name, limit + 1)
            if rows or after:
                return self._page(rows, limit, ranked=True)
            mended = self._mend(words)
            if not mended:
                return SearchPage(())
            rows = self._ranked(text, words, filter, score, name, limit + 1, mended)
            return self._page(rows, limit, ranked=True, mended=mended)

    def suggest(self, text: str, *, limit: int = 10) -> tuple[str, ...]:
        """Return words of the catalog that begin as the last word typed does."""
        words = words_of(text)
        return tuple(dict.fromkeys(self._complete(words[-1])))[:limit] if words else ()

    def _list(self, filter: AssetFilter, name: str, limit: int) -> list[dict[str, Any]]:
        where, params = _where(filter)
        asked = _facets(filter)
        facets = self._all_of("facets", asked, self._spread(asked), params)
        conditions = " AND ".join([*where, facets.condition])
        return self._rows(_LIST.format(where=conditions), params | {"name": name, "limit": limit})

    def _ranked(
        self,
        text: str,
        words: tuple[str, ...],
        filter: AssetFilter,
        score: int | None,
        name: str,
        limit: int,
        mended: dict[str, tuple[str, ...]] | None = None,
    ) -> list[dict[str, Any]]:
        conditions, params = _where(filter)
        lower, asked = text.strip().lower(), _facets(filter)
        params |= {"text": text.strip(), "lower": lower, "beyond": lower + _LAST}
        params |= {"score": score, "name": name, "limit": limit}
        choices = [list((mended or {}).get(word, (word,))) for word in words]
        if words and not mended and (len(words) > 1 or len(words[-1]) > _SHORT):
            choices[-1] = [words[-1], *self._complete(words[-1])]
        of_names = [[":" + word for word in some] for some in choices]
        spread = self._spread([*of_names, *choices, *asked])
        facets = self._all_of("facets", asked, spread, params)
        ways, first = _WAYS.format(where=" AND ".join([*conditions, facets.condition])), ""
        if words:
            named = self._all_of("named", of_names + asked, spread, params)
            found = self._all_of("found", choices + asked, spread, params)
            first = _NAMED_FIRST.format(
                named=named.place, named_where=" AND ".join([named.condition, *conditions])
            )
            ways += _NAME_WORDS.format(
                found=found.place, found_where=" AND ".join([found.condition, *conditions])
            )
        return self._rows(_RANK.format(first=first, ways=ways), params)

    def _spread(self, groups: list[list[str]]) -> dict[str, float]:
        """Return the share of assets that have a word, of words that many have."""
        rows = self._db.rows(_SPREAD, [[word for some in groups for word in some]]) if groups else []
        return {row["word"]: row["share"] for row in rows}

    def _all_of(
        self, key: str, groups: list[list[str]], spread: dict[str, float], params: dict[str, Any]
    ) -> _Asked:
        """Return where to look for words and how: all of them, each in any of its forms."""
        wide = [some for some in groups if sum(spread.get(word, 0) for word in some) > _WIDE]
        narrow = [some for some in groups if some not in wide]
        conditions = ["true"]
        if narrow:
            params[f"{key}_narrow"] = _tsquery(narrow)
            conditions.append(f"a.tsv @@ %({key}_narrow)s::tsquery")
        if wide:
            # In this form no index is asked.
            params[f"{key}_wide"] = _tsquery(wide)
            conditions.append(f"(a.tsv @@ %({key}_wide)s::tsquery) IS TRUE")
        return _Asked("dataml.asset" if narrow else _FIRST, " AND ".join(conditions))

    def _rows(self, query: Any, params: dict[str, Any]) -> list[dict[str, Any]]:
        with self._db.errors():
            return self._db.raw.execute(query, params).fetchall()

    def _complete(self, word: str) -> list[str]:
        return [row["word"] for row in self._db.rows(_COMPLETE, [word, word + _LAST])]

    def _mend(self, words: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
        """Return, for the words nothing is called, those that they may have been meant for."""
        mended: dict[str, tuple[str, ...]] = {}
        for word in words:
            if self._complete(word) or not (keys := slips(word)):
                continue
            if near := closest(word, (row["word"] for row in self._db.rows(_NEAR, [list(keys)]))):
                mended[word] = near
        return mended

    def _page(
        self,
        rows: list[dict[str, Any]],
        limit: int,
        *,
        ranked: bool,
        mended: dict[str, tuple[str, ...]] | None = None,
    ) -> SearchPage:
        shown = rows[:limit]
        after = None
        if len(rows) > limit:
            last = shown[-1]
            after = json.dumps([last["score"], last["name"]] if ranked else [last["name"]])
        capped = bool(rows) and rows[0].get("candidates", 0) >= _FOUND
        return SearchPage(page_of(self._db, shown), after, mended or {}, capped)


def _key(after: str | None, *, ranked: bool) -> tuple[int | None, str]:
    if after is None:
        return None, ""
    try:
        key = json.loads(after)
        if ranked:
            score, name = key
            return int(score), str(name)
        (name,) = key
        return None, str(name)
    except (ValueError, TypeError) as err:
        msg = f"after={after!r} is no key of a page: pass what the page before gave."
        raise SpecError(msg) from err


def _tsquery(groups: list[list[str]]) -> str:
    return " & ".join("(" + " | ".join(map(lexeme, some)) + ")" for some in groups)


def _facets(filter: AssetFilter) -> list[list[str]]:
    """Return what of a filter the index holds, as the words it holds it as."""
    single = {
        "subtype": filter.subtype, "owner": filter.owner, "domain": filter.domain, "group": filter.group,
        "producer": filter.producer, "importance": filter.importance,
    }  # fmt: skip
    listed = {"tag": filter.tag, "term": filter.term}
    facets = [[f"={what}={value}"] for what, value in single.items() if value is not None]
    facets += [
        [f"={what}={json.dumps(value, ensure_ascii=False)[1:-1]}"]
        for what, value in listed.items()
        if value is not None
    ]
    return [*facets, [f"=kind={kind}" for kind in filter.kinds]] if filter.kinds else facets


def _where(filter: AssetFilter) -> tuple[list[str], dict[str, Any]]:
    """Return the conditions of a filter that the index does not hold."""
    conditions = ["a.merged_into IS NULL", "a.status = ANY (%(status)s)"]
    if filter.stale is not None:
        conditions.append(_STALE if filter.stale else f"NOT {_STALE}")
    if filter.failing is not None:
        conditions.append(_FAILING if filter.failing else f"NOT {_FAILING}")
    return conditions, {"status": list(filter.status)}
