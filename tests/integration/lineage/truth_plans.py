"""Random plans of DAGs that know their own lineage: which task reads and writes what, column by column."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
        self.random = random.Random(seed)
        self.schema = f"truth{seed}"
        self.raw, self.features = f"{self.schema}_raw", f"{self.schema}_features"
        tables = {f"{self.schema}.t{n}": [f"t{n}_{c}" for c in "abc"[: self.random.randint(2, 3)]] for n in range(6)}
        self.made = f"{self.schema}.made"
        self.columns = {**tables, self.features: ["s", "u"], self.made: ["m_a", "m_b"]}
        self.result = Plan(f"truth{seed}", self.schema, schedule, {n: ["k", *c] for n, c in tables.items()})
        self.writers: dict[str, str] = {}
        self.readers: dict[str, list[str]] = {}
        # Tables that more than one element of a mapped task wrote: which was last is nobody's plan.
        self.closed: set[str] = set()

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
        rows = "SELECT g::int AS k, g * 7 % 11 + length('{{ run_id }}{{ ts }}') AS p, g % 5 AS q FROM generate_series(1, 12) g"
        self._add("raw_stage", "transform", [Step((rows,), self.raw, (), ())])
        self._add("raw_publish", "publish", [Step((), self.raw, (), ())])
        made = f"SELECT k, p + q AS s, q AS u FROM {self.raw} WHERE q > 0"
        flows = [(self.raw, "k", "k", "direct"), (self.raw, "p", "s", "direct"), (self.raw, "q", "s", "direct")]
        flows += [(self.raw, "q", "u", "direct"), (self.raw, "q", "", "indirect")]
        step = Step((made,), self.features, (self.raw,), tuple(flows))
        self._add("features_stage", "transform", [step])
        self._add("features_publish", "publish", [Step((), self.features, (), ())])

    def _pick(self, count: int, *, without: str = "") -> list[str]:
        there = [n for n in self.columns if n != without and n not in self.closed]
        there = [n for n in there if n != self.made or self.made in self.writers]
        return self.random.sample(there, count)

    def _target(self) -> str:
        return self.random.choice([n for n in self.result.tables if n not in self.closed])

    def _column(self, name: str) -> str:
        return self.random.choice(self.columns[name])

    def _insert(self) -> Step:
        target = self._target()
        one, two = self._pick(2, without=target)
        sql, flows = _joined(self, target, one, two)
        return Step((f"INSERT INTO {target} (k, {', '.join(self.columns[target])}) {sql}",), target, (one, two), flows)

    def _refill(self) -> Step:
        target = self._target()
        [source] = self._pick(1, without=target)
        a = self._column(source)
        first = self.columns[target][0]
        sql = (f"TRUNCATE {target}", f"INSERT INTO {target} (k, {first}) SELECT k, {a} FROM {source} ORDER BY {a}")
        flows = ((source, "k", "k", "direct"), (source, a, first, "direct"), (source, a, "", "indirect"))
        return Step(sql, target, (source,), flows[:2] if not _SORTS else flows)

    def _grouped(self) -> Step:
        target = self._target()
        [source] = self._pick(1, without=target)
        a, first = self._column(source), self.columns[target][0]
        sql = f"WITH w AS (SELECT k, sum({a}) AS total FROM {source} GROUP BY k) INSERT INTO {target} (k, {first}) SELECT k, total FROM w"
        flows = ((source, "k", "k", "direct"), (source, a, first, "direct"), (source, "k", "", "indirect"))
        return Step((sql,), target, (source,), flows)

    def _create(self) -> Step:
        [source] = self._pick(1, without=self.made)
        a, b = self._column(source), self._column(source)
        sql = (f"DROP TABLE IF EXISTS {self.made}", f"CREATE TABLE {self.made} AS SELECT k, {a} AS m_a, {b} + 1 AS m_b FROM {source}")
        flows = {(source, "k", "k", "direct"), (source, a, "m_a", "direct"), (source, b, "m_b", "direct")}
        return Step(sql, self.made, (source,), tuple(flows))

    def _update(self) -> Step:
        target = self._target()
        [source] = self._pick(1, without=target)
        a, b, c = self._column(target), self._column(target), self._column(source)
        sql = f"UPDATE {target} SET {a} = {b} + {c} FROM {source} WHERE {target}.k = {source}.k"
        flows = ((target, b, a, "direct"), (source, c, a, "direct"), (target, "k", "", "indirect"), (source, "k", "", "indirect"))
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
        flows = ((source, "k", "k", "direct"), (source, c, a, "direct"), (target, "k", "", "indirect"), (source, "k", "", "indirect"))
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
        apart = self.random.sample([n for n in self.result.tables if n not in self.closed], 3)
        [source] = [n for n in self._pick(6) if n not in apart][:1]
        made = []
        for target in (apart[0], apart[1], apart[2], apart[2]):
            a, first = self._column(source), self.columns[target][0]
            sql = f"INSERT INTO {target} (k, {first}) SELECT k, {a} FROM {source}"
            flows = ((source, "k", "k", "direct"), (source, a, first, "direct"))
            made.append(Step((sql,), target, (source,), flows))
        self.closed.add(apart[2])
        return made


_SORTS = True


def _joined(planner: _Planner, target: str, one: str, two: str) -> tuple[str, tuple[Flow, ...]]:
    filtered = planner._column(one)
    flows: list[Flow] = [(one, "k", "k", "direct"), (one, "k", "", "indirect"), (two, "k", "", "indirect")]
    flows.append((one, filtered, "", "indirect"))
    values = []
    for column in planner.columns[target]:
        a, b = planner._column(one), planner._column(two)
        values.append(f"{a} + {b}")
        flows += [(one, a, column, "direct"), (two, b, column, "direct")]
    sql = f"SELECT x.k, {', '.join(values)} FROM {one} x JOIN {two} y ON x.k = y.k WHERE {filtered} < 1000"
    return sql, tuple(dict.fromkeys(flows))


@dataclass(frozen=True)
class Try:
    """What ran."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    number: int


@dataclass
class Truth:
    """What really happened, told run by run.

    A version is its asset and who wrote it; one that nobody wrote was found.
    """

    reads: set[tuple[Try, tuple[str, object]]] = field(default_factory=set)
    versions: set[tuple[str, object]] = field(default_factory=set)
    edges: set[tuple[tuple[str, object], tuple[str, object]]] = field(default_factory=set)
    assets: dict[tuple[str, str, str], int] = field(default_factory=dict)
    columns: set[tuple[str, str, str, str, str, str]] = field(default_factory=set)
    current: dict[str, tuple[str, object]] = field(default_factory=dict)

    def run(self, plan: Plan, run_id: str, *, only: Sequence[str] = (), tries: Callable[[str, int], int]) -> None:
        """Tell of a run, or of some tasks of it that ran again.

        :param tries: number of the try that got through, by task and map index.
        """
        before = dict(self.current)
        for task in plan.tasks:
            if only and task.task_id not in only:
                continue
            for index, step in enumerate(task.steps):
                element = index if task.kind == "mapped" else -1
                number = tries(task.task_id, element)
                if task.fails_first and not only:
                    self._tried(Try(plan.dag_id, run_id, task.task_id, element, 1), step)
                self._step(task, Try(plan.dag_id, run_id, task.task_id, element, number), step)
        del before

    def _tried(self, who: Try, step: Step) -> None:
        for name in step.reads:
            self.reads.add((who, self._stood(name)))

    def _step(self, task: Task, who: Try, step: Step) -> None:
        if task.kind == "publish":
            stage = who.task_id.replace("publish", "stage")
            version = (step.name, f"{who.dag_id}.{who.run_id}")
            self.versions.add(version)
            for src in self._staged.pop((who.dag_id, who.run_id, stage), ()):
                self.edges.add((src, version))
            self.current[step.name] = version
            return
        job = f"{who.dag_id}.{task.task_id}"
        read = [self._stood(name) for name in step.reads]
        for name in step.reads:
            self.assets[name, step.name, job] = self.assets.get((name, step.name, job), 0) + 1
        self.columns |= {(src, a, step.name, b, kind, job) for src, a, b, kind in step.flows}
        if task.kind == "transform":
            self._staged[who.dag_id, who.run_id, task.task_id] = read
            return
        for src in read:
            self.reads.add((who, src))
        version = (step.name, who)
        self.versions.add(version)
        self.edges |= {(src, version) for src in read}
        self.current[step.name] = version

    def _stood(self, name: str) -> tuple[str, object]:
        version = self.current.get(name, (name, "found"))
        self.versions.add(version)
        return version

    _staged: dict[tuple[str, str, str], list[tuple[str, object]]] = field(default_factory=dict)
