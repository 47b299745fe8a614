"""Random queries over random tables, right by construction: every name they use is there and means one thing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

TYPES = ("integer", "integer", "text")
NAMES = ("a", "b", "c", "d", '"E x"', '"select"')
EXPRESSIONS = (
    "{0}", "coalesce({0}, {1})", "CASE WHEN {0} IS NULL THEN {1} ELSE {2} END", "CASE {0} WHEN {1} THEN {2} END",
    "nullif({0}, {1})", "greatest({0}, {1})", "({0})::text", "max({0}) OVER (PARTITION BY {1} ORDER BY {2})",
)  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A table and its columns; all text, so that whatever is compared can be."""

    name: str
    columns: tuple[str, ...]


@dataclass
class Maker:
    """Draws one query; the names it invents are used once."""

    draw: Any
    tables: list[Table]
    withs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    count: int = 0

    def fresh(self, stem: str) -> str:
        self.count += 1
        return f"{stem}{self.count}"

    def choice(self, options: Any) -> Any:
        return self.draw(st.sampled_from(list(options)))

    def chance(self) -> bool:
        return bool(self.draw(st.booleans()))

    def query(self, depth: int, outer: list[str]) -> tuple[str, tuple[str, ...]]:
        """Text and output columns."""
        kind = self.choice(("select", "select", "select", "set")) if depth else "select"
        if kind == "set":
            left, names = self.select(depth - 1, outer, width=2)
            right, _ = self.select(depth - 1, outer, width=2)
            operation = self.choice(("UNION ALL", "UNION", "EXCEPT", "INTERSECT"))
            order = f" ORDER BY {names[0]}" if self.chance() else ""
            return f"({left}) {operation} ({right}){order}", names
        return self.select(depth, outer)

    def select(self, depth: int, outer: list[str], width: int | None = None) -> tuple[str, tuple[str, ...]]:
        source, columns, stars = self.sources(depth, outer)
        seen = columns + outer
        items, names = [], []
        if width is None and stars and self.chance():
            star = self.choice(stars)
            items.append(star[0])
            names += star[1]
        for _ in range(width or self.draw(st.integers(1, 3))):
            name = self.fresh("o")
            items.append(f"{self.expression(seen, depth, columns)} AS {name}")
            names.append(name)
        tail = f" WHERE {self.condition(seen, depth)}" if self.chance() else ""
        if self.chance():
            tail += f" ORDER BY {self.choice(columns)}, {len(items) if width or not items[0].endswith('*') else names[-1]}"
        return f"SELECT {', '.join(items)} FROM {source}{tail}", tuple(names)

    def grouped(self) -> tuple[str, tuple[str, ...]]:
        source, columns, _ = self.sources(1, [])
        key, value = self.choice(columns), self.choice(columns)
        aggregate = self.choice(
            (
                "max({0})",
                "count(DISTINCT {0})",
                "string_agg({0}, ',' ORDER BY {1})",
                "count({0}) FILTER (WHERE {1} > 'a')",
            )
        ).format(value, self.choice(columns))
        having = f" HAVING min({self.choice(columns)}) < 'z'" if self.chance() else ""
        by = self.choice((key, "1", "k"))
        # A bare name in GROUP BY is a column of the input where there is one.
        return f"SELECT {key} AS k, {aggregate} AS v FROM {source} GROUP BY {by}{having}", ("k", "v")

    def sources(
        self, depth: int, outer: list[str]
    ) -> tuple[str, list[str], list[tuple[str, tuple[str, ...]]]]:
        text, alias, own = self.source(depth, outer)
        columns = [f"{alias}.{c}" for c in own]
        stars = [(f"{alias}.*", own)]
        for _ in range(self.draw(st.integers(0, 2))):
            side = self.choice(("JOIN", "LEFT JOIN", "FULL JOIN", "CROSS JOIN", ",", "JOIN LATERAL"))
            other, name, theirs = self.source(
                depth, columns if side == "JOIN LATERAL" else [], derived=side == "JOIN LATERAL"
            )
            if side == "JOIN LATERAL":
                text = f"{text} JOIN LATERAL {other} ON true"
            elif side in ("CROSS JOIN", ","):
                text = f"{text} CROSS JOIN {other}"
            else:
                text = f"{text} {side} {other} ON {self.choice(columns)} = {name}.{self.choice(theirs)}"
            columns += [f"{name}.{c}" for c in theirs]
            stars.append((f"{name}.*", theirs))
        return text, columns, stars

    def source(
        self, depth: int, outer: list[str], *, derived: bool = False
    ) -> tuple[str, str, tuple[str, ...]]:
        alias = self.fresh("s")
        if derived or (depth and self.chance()):
            text, names = (
                self.select(max(depth - 1, 0), outer) if outer else self.query(max(depth - 1, 0), [])
            )
            return f"({text}) AS {alias}", alias, names
        if self.withs and self.chance():
            name = self.choice(self.withs)
            return f"{name} AS {alias}", alias, self.withs[name]
        table = self.choice(self.tables)
        if self.chance():
            renamed = tuple(self.fresh("r") for _ in table.columns)
            return f"{table.name} AS {alias} ({', '.join(renamed)})", alias, renamed
        return f"{table.name} AS {alias}", alias, table.columns

    def expression(self, seen: list[str], depth: int, columns: list[str]) -> str:
        if depth and self.draw(st.integers(0, 5)) == 0:
            inner, names = self.select(0, columns)
            return f"(SELECT max({names[-1]}) FROM ({inner}) AS {self.fresh('x')})"
        parts = [self.choice(seen) for _ in range(3)]
        return self.choice(EXPRESSIONS).format(*parts).replace("::text", "::varchar::text")

    def condition(self, seen: list[str], depth: int) -> str:
        if depth and self.chance():
            inner, _ = self.select(0, seen, width=1)
            return self.choice((f"EXISTS ({inner})", f"{self.choice(seen)} IN ({inner})"))
        return f"{self.choice(seen)} > {self.choice(seen)}"


@st.composite
def cases(draw: Any) -> tuple[list[Table], str]:
    """Tables, and a query over them."""
    tables = [
        Table(f"t{i}", tuple(draw(st.lists(st.sampled_from(NAMES), min_size=2, max_size=4, unique=True))))
        for i in range(draw(st.integers(1, 3)))
    ]
    maker = Maker(draw, tables)
    clauses = []
    for _ in range(draw(st.integers(0, 2))):
        text, names = maker.query(1, [])
        name = maker.fresh("w")
        clauses.append(f"{name} AS ({text})")
        maker.withs[name] = names
    text, _ = maker.grouped() if draw(st.integers(0, 3)) == 0 else maker.query(2, [])
    return tables, (f"WITH {', '.join(clauses)} " if clauses else "") + text


@st.composite
def using_joins(draw: Any) -> tuple[list[Table], str]:
    """Joins that name columns, several in a row, read through ``*`` and bare names."""
    count = draw(st.integers(2, 4))
    tables = [Table(f"t{i}", ("k", f"v{i}", *(("m",) if i < 2 else ()))) for i in range(count)]
    text = "t0"
    for table in tables[1:]:
        side = draw(st.sampled_from(["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]))
        columns = draw(st.sampled_from(["k", "k, m", "m, k"])) if table.name == "t1" else "k"
        text += f" {side} {table.name} USING ({columns})"
    items = draw(st.sampled_from(["*", "k, v1", "t1.*, k", "t0.k, k, v0"]))
    return tables, f"SELECT {items} FROM {text}"
