"""What the graph must be, by a model that knows nothing of events: tasks read and write at times."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.lineage_events import column_lineage, out, run_event, schema, short, table

if TYPE_CHECKING:
    from random import Random

    from airflow_dataml.adapters.postgres.connection import Connection

ASSETS = ("a", "b", "c", "d", "e")
# What a statement does to its target besides reading its sources.
STATEMENTS = ("INSERT", "UPDATE", "DELETE", "MERGE")


@dataclass
class Attempt:
    """One try of a task instance."""

    dag: str
    task: str
    run_id: str
    map_index: int
    number: int
    start: float
    end: float
    statement: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    failed: bool
    rows: int | None
    mapped_columns: bool
    collides: bool

    @property
    def job(self) -> str:
        return f"{self.dag}.{self.task}"

    @property
    def reads(self) -> tuple[str, ...]:
        in_place = self.targets if self.statement != "INSERT" else ()
        return tuple(dict.fromkeys((*self.sources, *in_place)))

    @property
    def writes(self) -> tuple[str, ...]:
        return self.targets if not self.failed or self.rows else ()

    @property
    def key(self) -> str:
        return f"{self.dag}/{self.run_id}/{self.task}/{self.map_index}#{self.number}"


def history(random: Random, attempts: int) -> list[Attempt]:
    """Make up tries that overlap in time, with retries, clears, mapped tasks and backfilled runs."""
    made: list[Attempt] = []
    numbers: dict[tuple[str, str, str, int], int] = {}
    for at in range(attempts):
        task = random.choice(("load", "fix", "merge"))
        key = (random.choice(("etl", "ml")), task, f"run{random.randrange(4)}", random.choice((-1, -1, 0, 1)))
        numbers[key] = numbers.get(key, 0) + 1
        start = at * 10 + random.random() * 9
        targets = tuple(random.sample(ASSETS, random.choice((1, 1, 1, 2))))
        failed = random.random() < 0.25
        made.append(
            Attempt(
                *key[:2],
                key[2],
                key[3],
                numbers[key],
                start,
                start + 0.01 + random.random() * 25,
                random.choice(STATEMENTS),
                tuple(random.sample(ASSETS, random.randrange(3))),
                targets,
                failed,
                random.choice((None, 0, 5)) if failed else random.choice((None, 5)),
                mapped_columns=len(targets) == 1 and random.random() < 0.5,
                collides=random.random() < 0.3,
            )
        )
    return made


def events_of(attempt: Attempt, random: Random) -> list[dict[str, Any]]:
    """Return the events of a try: both sides in both, or one side in each."""
    inputs = [table(name, schema=schema("x", "y")) for name in attempt.reads]
    facets = {"schema": schema("x", "y")}
    if attempt.mapped_columns and attempt.reads:
        facets |= {"columnLineage": column_lineage(attempt.reads[0], x="y")}
    outputs = [out(name, rows=attempt.rows, **facets) for name in attempt.targets]
    common = {
        "job": attempt.job, "run_id": attempt.run_id, "try_number": attempt.number, "map_index": attempt.map_index,
        "ol_run_id": "0194-same" if attempt.collides else None,
    }  # fmt: skip
    end = "FAIL" if attempt.failed else "COMPLETE"
    if random.random() < 0.3:
        return [
            run_event("START", attempt.start, inputs=inputs, **common),
            run_event(end, attempt.end, outputs=outputs, **common),
        ]
    events = [run_event("START", attempt.start, inputs=inputs, outputs=outputs, **common)]
    if random.random() < 0.3:
        events.append(run_event("RUNNING", (attempt.start + attempt.end) / 2, **common))
    return [*events, run_event(end, attempt.end, inputs=inputs, outputs=outputs, **common)]


@dataclass
class Truth:
    """The graph as it must be; versions are named by who wrote them."""

    edges: set[tuple[str, str]] = field(default_factory=set)
    versions: set[str] = field(default_factory=set)
    uses: set[tuple[str, str, str, str]] = field(default_factory=set)
    pairs: dict[tuple[str, str, str], int] = field(default_factory=dict)
    columns: set[tuple[str, str, str]] = field(default_factory=set)


def truth(attempts: list[Attempt]) -> Truth:
    """Work out the graph by going through the tries."""
    found = Truth()
    written = {
        name: sorted((a.end, a.key) for a in attempts if name in a.writes) for name in ASSETS
    }  # fmt: skip
    for attempt in attempts:
        seen = {}
        for name in attempt.reads:
            before = [key for end, key in written[name] if end <= attempt.start]
            seen[name] = f"{name}:{before[-1] if before else 'found'}"
            found.uses.add((attempt.key, "in", name, seen[name]))
            found.versions.add(seen[name])
        for name in attempt.writes:
            made = f"{name}:{attempt.key}"
            found.versions.add(made)
            found.uses.add((attempt.key, "out", name, made))
            for source, version in seen.items():
                found.edges.add((version, made))
                pair = (source, name, attempt.job)
                found.pairs[pair] = found.pairs.get(pair, 0) + 1
            if attempt.mapped_columns and attempt.reads:
                found.columns.add((f"{attempt.reads[0]}.y", f"{name}.x", attempt.job))
    return found


_VERSION = """(a.name || ':' || CASE WHEN v.origin = 'found' THEN 'found' ELSE
  r.dag_id || '/' || r.run_id || '/' || r.task_id || '/' || r.map_index || '#' || (v.facts ->> 'try') END)"""


def graph(connection: Connection) -> Truth:
    """Read the graph from the ledger."""
    versions = {
        row["id"]: short(row["name"])
        for row in connection.rows(
            f"""SELECT v.version_id AS id, {_VERSION} AS name FROM dataml.version v
                JOIN dataml.asset a USING (asset_id) JOIN dataml.run r USING (run_key)"""
        )
    }
    uses = connection.rows(
        """SELECT r.dag_id || '/' || r.run_id || '/' || r.task_id || '/' || r.map_index || '#' || io.try_number AS try,
                  io.direction, a.name, io.version_id FROM dataml.run_io io JOIN dataml.run r USING (run_key)
           JOIN dataml.asset a USING (asset_id)"""
    )
    pairs = connection.rows(
        """SELECT s.name AS src, d.name AS dst, j.name AS job, e.runs FROM dataml.asset_edge e JOIN dataml.job j USING (job_id)
           JOIN dataml.asset s ON s.asset_id = e.src JOIN dataml.asset d ON d.asset_id = e.dst"""
    )
    columns = connection.rows(
        """SELECT s.name || '.' || c.src_column AS src, d.name || '.' || c.dst_column AS dst, j.name AS job
           FROM dataml.column_edge c JOIN dataml.job j USING (job_id)
           JOIN dataml.asset s ON s.asset_id = c.src JOIN dataml.asset d ON d.asset_id = c.dst"""
    )
    edges = connection.rows("SELECT src_id, dst_id FROM dataml.edge")
    return Truth(
        {(versions[row["src_id"]], versions[row["dst_id"]]) for row in edges},
        set(versions.values()),
        {(row["try"], row["direction"], short(row["name"]), versions[row["version_id"]]) for row in uses},
        {(short(row["src"]), short(row["dst"]), row["job"]): row["runs"] for row in pairs},
        {(short(row["src"]), short(row["dst"]), row["job"]) for row in columns},
    )
