"""Random plans of DAGs that know their own lineage: which task reads and writes what, column by column."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass, field
from typing import Any

# (source, its column, column of the target or nothing for all of it, direct or indirect)
Flow = tuple[str, str, str, str]
KINDS = ("insert", "grouped", "update", "delete", "merge", "create", "refill", "fix", "upsert")


@dataclass(frozen=True)
class Step:
    """One statement, or a few that belong together.

    :param name: of the asset it writes: ``schema.table``, or a dataset of ours.
    :param reads: assets, the target too where rows that are there take part.
    """

    sql: tuple[str, ...]
    name: str
    reads: tuple[str, ...]
    flows: tuple[Flow, ...]


@dataclass
class Task:
    """A task of a plan.

    :param steps: one, or one for each element of a mapped task.
    :param kind: sql, mapped, transform or publish.
    """

    task_id: str
    kind: str
    steps: list[Step]
    upstream: list[str] = field(default_factory=list)
    fails_first: bool = False


@dataclass
class Plan:
    """One DAG: its tasks in an order they may run in, and the tables that must be there before."""

    dag_id: str
    schema: str
    schedule: str | None
    tables: dict[str, list[str]]
    tasks: list[Task] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """What the DAG file reads."""
        return asdict(self)


def make_plan(seed: int, *, schedule: str | None, steps: int) -> Plan:
    """Return a plan: a dataset of ours, another made of it, then statements upon them and upon each other."""
    return _Planner(seed, schedule).plan(steps)


class _Planner:
    def __init__(self, seed: int, schedule: str | None) -> None:
        self.random = random.Random(seed)  # noqa: S311 - a plan, not a secret
        self.schema = f"truth{seed}"
        self.raw, self.features = f"{self.schema}_raw", f"{self.schema}_features"
        tables = {
            f"{self.schema}.t{n}": [f"t{n}_{c}" for c in "abc"[: self.random.randint(2, 3)]] for n in range(6)
        }
        self.made = f"{self.schema}.made"
        # Two elements of a mapped task write it: which is last is nobody's plan, so nobody reads it.
        self.many = f"{self.schema}.many"
        tables[self.many] = ["many_a", "many_b"]
        self.columns = {**tables, self.features: ["s", "u"], self.made: ["m_a", "m_b"]}
        self.result = Plan(f"truth{seed}", self.schema, schedule, {n: ["k", *c] for n, c in tables.items()})
        self.writers: dict[str, str] = {}
        self.readers: dict[str, list[str]] = {}

    def plan(self, steps: int) -> Plan:
        self._ours()
        kinds = [*KINDS] if steps >= len(KINDS) else self.random.sample(KINDS, steps)
        kinds += self.random.choices(KINDS, k=steps - len(kinds))
        self.random.shuffle(kinds)
        for number, kind in enumerate(kinds):
            self._add(f"s{number}_{kind}", "sql", [getattr(self, f"_{kind}")()])
        self._add("mapped", "mapped", self._mapped())
        fails = self.random.choice([t for t in self.result.tasks if t.kind == "sql"])
        fails.fails_first = True
        return self.result

    def _add(self, task_id: str, kind: str, steps: list[Step]) -> None:
        """Put a task behind those it must come after: writers of what it reads, and readers of what it writes."""
        before: dict[str, None] = {}
        for step in steps:
            for name in (*step.reads, step.name):
                if name in self.writers:
                    before[self.writers[name]] = None
            before.update(dict.fromkeys(self.readers.get(step.name, ())))
        self.result.tasks.append(Task(task_id, kind, steps, list(before)))
        for step in steps:
            for name in step.reads:
                self.readers.setdefault(name, []).append(task_id)
        for step in steps:
            self.writers[step.name] = task_id
            self.readers[step.name] = []

    def _ours(self) -> None:
        rows = "SELECT g::int AS k, mod(g * 7, 11) + mod(hashtext('{{ run_id }}'), 1000) AS p, mod(g, 5) AS q FROM generate_series(1, 12) g"
        self._add("raw_stage", "transform", [Step((rows,), self.raw, (), ())])
        self._add("raw_publish", "publish", [Step((), self.raw, (), ())])
        made = f"SELECT k, p + q AS s, q AS u FROM {self.raw} WHERE q > 0"
        flows = [
            (self.raw, "k", "k", "direct"),
            (self.raw, "p", "s", "direct"),
            (self.raw, "q", "s", "direct"),
        ]
        flows += [(self.raw, "q", "u", "direct"), (self.raw, "q", "", "indirect")]
        step = Step((made,), self.features, (self.raw,), tuple(flows))
        self._add("features_stage", "transform", [step])
        self._add("features_publish", "publish", [Step((), self.features, (), ())])

    def _pick(self, count: int, *, without: str = "") -> list[str]:
        there = [n for n in self.columns if n not in (without, self.many)]
        there = [n for n in there if n != self.made or self.made in self.writers]
        return self.random.sample(there, count)

    def _target(self) -> str:
        return self.random.choice([n for n in self.result.tables if n != self.many])

    def _column(self, name: str) -> str:
        return self.random.choice(self.columns[name])

    def _insert(self) -> Step:
        target = self._target()
        one, two = self._pick(2, without=target)
        sql, flows = _joined(self, target, one, two)
        return Step(
            (f"INSERT INTO {target} (k, {', '.join(self.columns[target])}) {sql}",), target, (one, two), flows
        )

    def _refill(self) -> Step:
        target = self._target()
        [source] = self._pick(1, without=target)
        a = self._column(source)
        first = self.columns[target][0]
        sql = (
            f"TRUNCATE {target}",
            f"INSERT INTO {target} (k, {first}) SELECT k, {a} FROM {source} ORDER BY {a}",
        )
        flows = ((source, "k", "k", "direct"), (source, a, first, "direct"), (source, a, "", "indirect"))
        return Step(sql, target, (source,), flows)

    def _grouped(self) -> Step:
        target = self._target()
        [source] = self._pick(1, without=target)
        a, first = self._column(source), self.columns[target][0]
        sql = f"WITH w AS (SELECT k, sum({a}) AS total FROM {source} GROUP BY k) INSERT INTO {target} (k, {first}) SELECT k, total FROM w ON CONFLICT DO NOTHING"
        flows = ((source, "k", "k", "direct"), (source, a, first, "direct"), (source, "k", "", "indirect"))
        return Step((sql,), target, (source,), flows)

    def _create(self) -> Step:
        [source] = self._pick(1, without=self.made)
        a, b = self._column(source), self._column(source)
        sql = (
            f"DROP TABLE IF EXISTS {self.made}",
            f"CREATE TABLE {self.made} AS SELECT k, {a} AS m_a, {b} + 1 AS m_b FROM {source}",
        )
        flows = {(source, "k", "k", "direct"), (source, a, "m_a", "direct"), (source, b, "m_b", "direct")}
        return Step(sql, self.made, (source,), tuple(flows))

    def _update(self) -> Step:
        target = self._target()
        [source] = self._pick(1, without=target)
        a, b, c = self._column(target), self._column(target), self._column(source)
        sql = f"UPDATE {target} SET {a} = {b} + {c} FROM {source} WHERE {target}.k = {source}.k"
        flows = (
            (target, b, a, "direct"),
            (source, c, a, "direct"),
            (target, "k", "", "indirect"),
            (source, "k", "", "indirect"),
        )
        return Step((sql,), target, (target, source), flows)

    def _delete(self) -> Step:
        target = self._target()
        [source] = self._pick(1, without=target)
        c = self._column(source)
        sql = f"DELETE FROM {target} USING {source} WHERE {target}.k = {source}.k AND {c} > 3"
        flows = ((target, "k", "", "indirect"), (source, "k", "", "indirect"), (source, c, "", "indirect"))
        return Step((sql,), target, (target, source), flows)

    def _merge(self) -> Step:
        target = self._target()
        [source] = self._pick(1, without=target)
        a, c = self.columns[target][0], self._column(source)
        sql = (
            f"MERGE INTO {target} t USING {source} s ON t.k = s.k WHEN MATCHED THEN UPDATE SET {a} = s.{c} "
            f"WHEN NOT MATCHED THEN INSERT (k, {a}) VALUES (s.k, s.{c})"
        )
        flows = (
            (source, "k", "k", "direct"),
            (source, c, a, "direct"),
            (target, "k", "", "indirect"),
            (source, "k", "", "indirect"),
        )
        return Step((sql,), target, (target, source), flows)

    def _upsert(self) -> Step:
        target = self._target()
        [source] = self._pick(1, without=target)
        a, c = self.columns[target][0], self._column(source)
        sql = (
            f"INSERT INTO {target} AS t (k, {a}) SELECT k, max({c}) FROM {source} GROUP BY k "
            f"ON CONFLICT (k) DO UPDATE SET {a} = excluded.{a} + t.{a}"
        )
        flows = (
            (source, "k", "k", "direct"), (source, c, a, "direct"), (target, a, a, "direct"), (source, "k", "", "indirect"),
        )  # fmt: skip
        return Step((sql,), target, (target, source), flows)

    def _fix(self) -> Step:
        target = self._target()
        a, b = self._column(target), self._column(target)
        sql = f"UPDATE {target} SET {a} = coalesce({a}, 0) + 1 WHERE {b} > 2"
        return Step((sql,), target, (target,), ((target, a, a, "direct"), (target, b, "", "indirect")))

    def _mapped(self) -> list[Step]:
        """Two elements into tables of their own, and two into the same."""
        one, two = self.random.sample([n for n in self.result.tables if n != self.many], 2)
        [source] = [n for n in self._pick(3) if n not in (one, two)][:1]
        made = []
        for target in (one, two, self.many, self.many):
            a, first = self._column(source), self.columns[target][0]
            sql = f"INSERT INTO {target} (k, {first}) SELECT k, {a} FROM {source} ON CONFLICT DO NOTHING"
            flows = ((source, "k", "k", "direct"), (source, a, first, "direct"))
            made.append(Step((sql,), target, (source,), flows))
        return made


def _joined(planner: _Planner, target: str, one: str, two: str) -> tuple[str, tuple[Flow, ...]]:
    filtered = planner._column(one)
    flows: list[Flow] = [(one, "k", "k", "direct"), (one, "k", "", "indirect"), (two, "k", "", "indirect")]
    flows.append((one, filtered, "", "indirect"))
    values = []
    for column in planner.columns[target]:
        a, b = planner._column(one), planner._column(two)
        values.append(f"{a} + {b}")
        flows += [(one, a, column, "direct"), (two, b, column, "direct")]
    sql = f"SELECT x.k, {', '.join(values)} FROM {one} x JOIN {two} y ON x.k = y.k WHERE {filtered} < 1000 ON CONFLICT DO NOTHING"
    return sql, tuple(dict.fromkeys(flows))
