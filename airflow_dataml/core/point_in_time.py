"""Point-in-time joins: to each row what was true, and known, at its own time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from airflow_dataml.core.errors import NotFoundError, SpecError
from airflow_dataml.core.refs import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

SPINE = "spine"


class PointInTimeJoin(BaseModel):
    """What one dataset adds to each row: of its rows with equal keys the newest that is not later.

    :param dataset: ``name``, ``name@number``, ``name@alias`` or ``name@time``.
    :param keys: columns that must be equal: of the same name on both sides, or the row's column -> this dataset's.
    :param time_column: when a row of this dataset came true.
    :param columns: what it adds.
    :param prefix: put before the names of what it adds.
    :param max_age: seconds; what came true longer ago adds nothing. Without it any age will do.
    :param known: ``finally`` takes the rows as the version holds them, later corrections included; ``then`` only
        what readers could see at the row's own time, and as it was then, whatever corrected or replaced it later.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    keys: tuple[str, ...] | dict[str, str] = Field(min_length=1)
    time_column: str
    columns: tuple[str, ...] = Field(min_length=1)
    prefix: str = ""
    max_age: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    known: Literal["finally", "then"] = "finally"

    @model_validator(mode="after")
    def _adds_each_once(self) -> Self:
        if len(set(self.columns)) < len(self.columns):
            msg = f"columns {sorted({c for c in self.columns if self.columns.count(c) > 1})} are listed more than once"
            raise ValueError(msg)
        return self

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Column of the row, and column of this dataset that it must equal."""
        return tuple(self.keys.items()) if isinstance(self.keys, dict) else tuple((k, k) for k in self.keys)

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns of this dataset that are needed."""
        return tuple(dict.fromkeys((*(theirs for _, theirs in self.pairs), self.time_column, *self.columns)))

    def adds(self) -> tuple[str, ...]:
        """The names of what it adds."""
        return tuple(self.prefix + column for column in self.columns)


@dataclass(frozen=True, slots=True)
class Known:
    """Rows that readers could see from one time until another.

    :param name: what the rows are called in the query.
    :param since: ``None`` where it does not matter.
    :param until: ``None`` where they could be seen to the end.
    """

    name: str
    since: datetime | None = None
    until: datetime | None = None


def check_columns(
    *, spine: Sequence[str], joins: Iterable[tuple[PointInTimeJoin, Sequence[str]]], time_column: str
) -> None:
    """Refuse a join of columns that are not there, or that would give one name to two columns.

    :param joins: each with the columns its dataset has.
    :raises NotFoundError: with the closest names.
    :raises SpecError: two columns would have one name.
    """
    _require("the rows", (time_column,), spine)
    taken = dict.fromkeys(spine, "the rows themselves")
    for join, columns in joins:
        _require("the rows", (ours for ours, _ in join.pairs), spine)
        _require(join.dataset, join.reads, columns)
        for name in join.adds():
            if name in taken:
                msg = f"{join.dataset} adds a column {name!r}, which {taken[name]} have: give the join a prefix."
                raise SpecError(msg)
            taken[name] = f"those of {join.dataset}"


def _require(what: str, wanted: Iterable[str], columns: Sequence[str]) -> None:
    for name in wanted:
        if name not in columns:
            source = f"column of {what}"
            raise NotFoundError.from_available(source, name, columns)


def point_in_time_sql(
    *, time_column: str, columns: Sequence[str], joins: Sequence[tuple[PointInTimeJoin, Sequence[Known]]]
) -> str:
    """Return the query that joins; each row comes out once, with nulls where nothing was known.

    Rows of both sides are sorted together once per join, so it costs two sorts and not a search per row.
    Of rows with equal keys and times the one known last counts, then the greatest by what it adds, so equal
    versions always give equal results.

    :param time_column: of the rows that are joined to, which are called ``spine``.
    :param columns: of these rows, in the order of the result.
    :param joins: each with the rows to look in.
    """
    steps = [f'"~s" AS MATERIALIZED (SELECT row_number() OVER () AS "~row", t.* FROM {SPINE} t)']
    shown = [f"s.{quote_identifier(name)}" for name in columns]
    beside = []
    time = f"s.{quote_identifier(time_column)}::timestamptz"
    for place, (join, known) in enumerate(joins):
        steps += _matched(place, join, known, time)
        within = f""" AND f{place}."~event" > {time} - make_interval(secs => {join.max_age!r})"""
        beside.append(
            f"""LEFT JOIN "~c{place}" c{place} ON c{place}."~row" = s."~row"
LEFT JOIN "~f{place}" f{place} ON f{place}."~n" = c{place}."~n"{within if join.max_age else ""}"""
        )
        shown += [
            f"f{place}.{quote_identifier(column)} AS {quote_identifier(name)}"
            for column, name in zip(join.columns, join.adds(), strict=True)
        ]
    lines = ",\n".join(steps)
    return f'WITH {lines}\nSELECT {", ".join(shown)}\nFROM "~s" s\n{chr(10).join(beside)}'


def _matched(place: int, join: PointInTimeJoin, known: Sequence[Known], time: str) -> list[str]:
    """Number the rows to look in, and find for each row of the spine the number of its match."""
    theirs = [quote_identifier(name) for _, name in join.pairs]
    ours = [f"s.{quote_identifier(name)}" for name, _ in join.pairs]
    keys = [f'"~k{at}"' for at in range(len(theirs))]
    taken = ", ".join(quote_identifier(name) for name in join.reads)
    rows = "\n  UNION ALL ".join(
        f'SELECT {taken}, {_moment(one.since)} AS "~since", {_moment(one.until)} AS "~until" FROM {one.name}'
        for one in known
    )
    named = ", ".join(f"{one} AS {key}" for one, key in zip(theirs, keys, strict=True))
    there = " AND ".join(f"{one} IS NOT NULL" for one in (*theirs, quote_identifier(join.time_column)))
    order = ", ".join([*keys, '"~event"', '"~since" NULLS FIRST', *map(quote_identifier, join.columns)])
    values = ", ".join(dict.fromkeys(map(quote_identifier, join.columns)))
    found = [
        f""""~f{place}" AS MATERIALIZED (SELECT *, row_number() OVER (ORDER BY {order}) AS "~n" FROM (
  SELECT {named}, {quote_identifier(join.time_column)}::timestamptz AS "~event", "~since", "~until", {values}
  FROM ({rows}) t WHERE {there}) t)""",
        f""""~m{place}" AS (SELECT "~row", max("~n") OVER (PARTITION BY {", ".join(keys)}
  ORDER BY "~at", "~side" ROWS UNBOUNDED PRECEDING) AS "~n", "~side" FROM (
  SELECT {", ".join(keys)}, greatest("~event", "~since") AS "~at", 0 AS "~side", "~n", NULL::bigint AS "~row" FROM "~f{place}"
  UNION ALL SELECT {", ".join(ours)}, {time}, 1, NULL, s."~row" FROM "~s" s) u)""",
    ]
    if not any(one.until for one in known):
        return [*found, f'"~c{place}" AS (SELECT "~row", "~n" FROM "~m{place}" WHERE "~side" = 1)']
    # The newest may have been withdrawn by then and not replaced: for such rows, and for them alone, look further.
    equal = " AND ".join(f"f.{key} = {one}" for key, one in zip(keys, ours, strict=True))
    found.append(
        f""""~w{place}" AS (SELECT m."~row", CASE WHEN f."~until" <= {time} THEN NULL ELSE m."~n" END AS "~n",
  coalesce(f."~until" <= {time}, false) AS "~gone" FROM "~m{place}" m JOIN "~s" s ON s."~row" = m."~row"
  LEFT JOIN "~f{place}" f ON f."~n" = m."~n" WHERE m."~side" = 1),
"~c{place}" AS (SELECT "~row", "~n" FROM "~w{place}" WHERE NOT "~gone"
  UNION ALL SELECT w."~row", max(f."~n") FROM "~w{place}" w JOIN "~s" s ON s."~row" = w."~row"
  LEFT JOIN "~f{place}" f ON {equal} AND f."~event" <= {time} AND f."~since" <= {time}
    AND (f."~until" IS NULL OR f."~until" > {time}) WHERE w."~gone" GROUP BY w."~row")"""
    )
    return found


def _moment(value: datetime | None) -> str:
    return "NULL::timestamptz" if value is None else f"'{value.isoformat()}'::timestamptz"


def known_when(
    *, seen: Sequence[tuple[Sequence[int], datetime]]
) -> Mapping[tuple[datetime, datetime | None], tuple[int, ...]]:
    """Return from when until when readers could see which parts.

    :param seen: the parts of each state that readers saw and since when, oldest first.

    >>> from datetime import datetime, UTC
    >>> first, second = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    >>> found = known_when(seen=[([1, 2], first), ([2, 3], second)])
    >>> [(since.day, until and until.day, parts) for (since, until), parts in found.items()]
    [(1, 2, (1,)), (1, None, (2,)), (2, None, (3,))]
    """
    open_since: dict[int, datetime] = {}
    found: dict[tuple[datetime, datetime | None], list[int]] = {}
    for parts, moment in seen:
        for part in [one for one in open_since if one not in set(parts)]:
            found.setdefault((open_since.pop(part), moment), []).append(part)
        for part in parts:
            open_since.setdefault(part, moment)
    for part, since in open_since.items():
        found.setdefault((since, None), []).append(part)
    return {span: tuple(parts) for span, parts in found.items()}
