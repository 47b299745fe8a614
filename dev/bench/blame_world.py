"""A small world to break: four sources, features made of them by SQL, labels, a logistic model and its monitor."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np  # noqa: TID253 - the whole world is arrays

from airflow_dataml.core.datasets import Column
from airflow_dataml.core.evaluation import PromotionPolicy
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.monitoring import MonitorPolicy
from airflow_dataml.core.refs import AssetNaming, Relation, TaskKey
from airflow_dataml.core.runs import RunIdentity, digest_of
from airflow_dataml.core.stores import Rows
from airflow_dataml.core.training import TrainingResult, TrainingSpec
from airflow_dataml.core.windows import DataWindow, TrainingPlan
from airflow_dataml.steps.evaluate import Bench, evaluate_model
from airflow_dataml.steps.ingest import Target, stage_query, stage_source
from airflow_dataml.steps.observe import observe_batch
from airflow_dataml.steps.plan import plan_training
from airflow_dataml.steps.promote import promote_model
from airflow_dataml.steps.publish import place_of, publish_part
from airflow_dataml.steps.score import score_batch
from airflow_dataml.steps.train import Workshop, train_model
from airflow_dataml.testing import InMemoryRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import StagedPart, Version
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.training import TrainingJob

TRIPS, STATIONS, VEHICLES = 2500, 40, 400
KINDS = ("bus", "ferry", "train", "tram")
COLUMNS = {
    "trips": (
        Column("id", "bigint"),
        Column("at", "timestamptz"),
        Column("station", "text"),
        Column("vehicle", "bigint"),
        Column("km", "double precision"),
        Column("kind", "text"),
    ),
    "weather": (
        Column("station", "text"),
        Column("day", "integer"),
        Column("month", "text"),
        Column("temp", "double precision"),
        Column("wind", "double precision"),
    ),
    "vehicles": (
        Column("vehicle", "bigint"),
        Column("age", "double precision"),
        Column("maker", "text"),
    ),
    "outcomes": (Column("id", "bigint"), Column("late", "boolean")),
}
SQL = """
SELECT t.id, t.at, t.km, t.kind, w.temp, w.wind, v.age, v.maker, o.late
FROM trips t
LEFT JOIN weather w ON w.station = t.station AND w.month = %(partition_key)s
     AND w.day = extract(day FROM t.at)::integer
LEFT JOIN vehicles v ON v.vehicle = t.vehicle
LEFT JOIN outcomes o ON o.id = t.id
WHERE to_char(t.at, 'YYYY-MM') = %(partition_key)s
"""
SPEC = TrainingSpec.from_mapping(
    {
        "model": "trip_late",
        "task": "binary",
        "target": "late",
        "features": [
            {"name": "km"},
            {"name": "temp"},
            {"name": "wind"},
            {"name": "age"},
            {"name": "kind", "kind": "categorical"},
            {"name": "maker", "kind": "categorical"},
        ],
    }
)
NUMBERS, TEXTS = ("km", "temp", "wind", "age"), ("kind", "maker")
# What the truth weighs, on standardised numbers; a concept drift is another of these.
TRUTH = {
    "km": 1.1, "temp": -1.2, "wind": 0.9, "age": 1.2, "kind:ferry": 1.6, "kind:tram": -1.2,
    "maker:alfa": 1.5, "maker:beta": -1.2, "one": -0.9,
}  # fmt: skip
Tables = dict[str, dict[str, Any]]


def month_key(month: int) -> str:
    """Partition key of a month."""
    return f"2026-{month:02d}"


def draw_month(
    draw: np.random.Generator, month: int, truth: Mapping[str, float], *, warmer: float = 0.0
) -> Tables:
    """Draw the rows of a month, as columns by source.

    :param warmer: degrees by which the world itself is warmer than it ever was.
    """
    at = draw.integers(1, 29, TRIPS)
    stations = [f"s{i:02d}" for i in range(STATIONS)]
    # The weather of a month is its own: what moves by itself is usual.
    warm = draw.normal(15 + warmer, 1.0)
    place, day = np.meshgrid(np.arange(STATIONS), np.arange(1, 29), indexing="ij")
    temp = draw.normal(warm, 7, place.shape).ravel()
    wind = draw.gamma(3, 4, place.shape).ravel()
    fixed = np.random.default_rng(7)
    age, maker = fixed.gamma(2, 4, VEHICLES), fixed.choice(["alfa", "beta", "gamma", "delta"], VEHICLES)
    station, vehicle = draw.integers(0, STATIONS, TRIPS), draw.integers(0, VEHICLES, TRIPS)
    km, kind = draw.gamma(2, 6, TRIPS), draw.choice(KINDS, TRIPS, p=[0.4, 0.2, 0.25, 0.15])
    cell = station * 28 + at - 1
    logit = (
        truth["one"]
        + truth["km"] * (km - 12) / 8.5
        + truth["temp"] * (temp[cell] - 15) / 7
        + truth["wind"] * (wind[cell] - 12) / 7
        + truth["age"] * (age[vehicle] - 8) / 5.6
        + truth["kind:ferry"] * (kind == "ferry")
        + truth["kind:tram"] * (kind == "tram")
        + truth["maker:alfa"] * (maker[vehicle] == "alfa")
        + truth["maker:beta"] * (maker[vehicle] == "beta")
    )
    late = draw.random(TRIPS) < 1 / (1 + np.exp(-1.3 * logit))
    ids = month * 100_000 + np.arange(TRIPS)
    hours = draw.integers(0, 24, TRIPS)
    moments = [f"2026-{month:02d}-{d:02d}T{h:02d}:00:00+00:00" for d, h in zip(at, hours, strict=True)]
    return {
        "trips": {
            "id": ids,
            "at": np.array(moments, dtype=object),
            "station": np.array(stations, dtype=object)[station],
            "vehicle": vehicle,
            "km": km,
            "kind": kind.astype(object),
        },
        "weather": {
            "station": np.array(stations, dtype=object)[place.ravel()],
            "day": day.ravel(),
            "month": np.full(place.size, month_key(month), dtype=object),
            "temp": temp,
            "wind": wind,
        },
        "vehicles": {
            "vehicle": np.arange(VEHICLES),
            "age": age + month / 12,
            "maker": maker.astype(object),
        },
        "outcomes": {"id": ids, "late": late},
    }


class LogisticTrainer:
    """Fits a logistic regression by Newton's method and writes it down."""

    def check(self, spec: TrainingSpec) -> None:
        """Everything can be trained."""

    def train(self, job: TrainingJob, *, on_progress: Callable[[Any], None]) -> TrainingResult:
        """Fit on the file."""
        import csv

        with job.data.open() as file:
            rows = list(csv.DictReader(file))
        columns = {name: np.array([r[name] or None for r in rows], dtype=object) for name in rows[0]}
        means = {n: _numbers(columns[n]) for n in NUMBERS}
        scale = {n: [float(np.nanmean(v)), float(np.nanstd(v)) or 1.0] for n, v in means.items()}
        known = {n: sorted({str(v) for v in columns[n] if v is not None}) for n in TEXTS}
        matrix = design(columns, scale, known)
        labels = np.array([v in ("t", "true", "1") for v in columns["late"]], dtype=float)
        weights = np.zeros(matrix.shape[1])
        for _ in range(12):
            p = 1 / (1 + np.exp(-matrix @ weights))
            hessian = (matrix * (p * (1 - p))[:, None]).T @ matrix + 0.1 * np.eye(matrix.shape[1])
            weights -= np.linalg.solve(hessian, matrix.T @ (p - labels) + 0.1 * weights)
        folder = job.work_dir / "model"
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"weights": weights.tolist(), "scale": scale, "known": known})
        (folder / "model.onnx").write_text(text)
        return TrainingResult(
            artifact_dir=str(folder), epochs=1, steps=12, rows=len(rows), metrics={"loss": 0.5}, seconds=0.1,
            resumed=False, weights_digest="0" * 64,
        )  # fmt: skip


class LogisticScorer:
    """Scores with what ``LogisticTrainer`` wrote; a missing number is read as the mean."""

    def __init__(self, model_dir: Path) -> None:
        self._model = json.loads((Path(model_dir) / "model.onnx").read_text())

    def score(self, columns: Mapping[str, Any]) -> Any:
        """Return one probability per row."""
        matrix = design(columns, self._model["scale"], self._model["known"])
        return 1 / (1 + np.exp(-matrix @ np.array(self._model["weights"])))

    def score_csv(self, path: Path, *, block_rows: int = 65536) -> Iterator[tuple[dict[str, Any], Any]]:
        """Yield the file's columns and scores, in one block."""
        import csv

        with path.open() as file:
            rows = list(csv.DictReader(file))
        columns = {name: np.array([r[name] or None for r in rows], dtype=object) for name in rows[0]}
        yield columns, self.score(columns)


def design(columns: Mapping[str, Any], scale: Mapping[str, Any], known: Mapping[str, Any]) -> Any:
    """The matrix a model reads."""
    found = [np.ones(len(columns[NUMBERS[0]]))]
    for name in NUMBERS:
        mean, deviation = scale[name]
        found.append(np.nan_to_num((_numbers(columns[name]) - mean) / deviation))
    for name in TEXTS:
        column = columns[name]
        values = column.to_objects() if hasattr(column, "to_objects") else np.asarray(column, dtype=object)
        found += [np.array([v == one for v in values], dtype=float) for one in known[name]]
    return np.column_stack(found)


def _numbers(column: Any) -> Any:
    return np.array([np.nan if v is None else float(v) for v in column], dtype=float)


@dataclass
class World:
    """One deployment; each verb is one task of Airflow."""

    ledger: PostgresLedger
    folder: Path
    registry: Any = field(default_factory=InMemoryRegistry)

    def __post_init__(self) -> None:
        self.bench = Bench(self.registry, LogisticScorer, self.folder)

    def declare(self) -> None:
        """Enter the assets into the catalog."""
        kinds = dict.fromkeys((*COLUMNS, "trip_features"), "dataset")
        kinds |= {"trip_late": "model", "trip_scores": "prediction"}
        for name, kind in kinds.items():
            said: Any = kind
            self.ledger.assets.register(name=name, kind=said, uri=AssetNaming().uri("dataset", name))

    def who(self, task: str, run: str) -> RunIdentity:
        """Identity of a task."""
        return RunIdentity(task=TaskKey("world", run, task))

    def bring(self, name: str, key: str, table: Mapping[str, Any], *, again: str = "") -> Version:
        """Publish a batch of one source; vehicles come as a whole, the others by month."""
        columns = COLUMNS[name]
        rows = list(zip(*(_plain(table[c.name]) for c in columns), strict=True))
        whole = name == "vehicles"
        target = Target(
            name, "replace" if whole else "partition", None if whole else key, location=f"public.{name}"
        )
        staged = stage_source(
            ledger=self.ledger,
            store=self.ledger.store,
            identity=self.who(f"stage_{name}", key + again),
            target=target,
            source=Rows(columns, [rows]),
            digest=digest_of(name=name, key=key, again=again),
            origin="the world",
        )
        return self.publish(name, key + again, staged)

    def publish(self, name: str, run: str, staged: StagedPart) -> Version:
        """Publish what was staged."""
        return publish_part(
            ledger=self.ledger,
            store=self.ledger.store,
            identity=self.who(f"publish_{name}", run),
            staged=staged,
            place=place_of(self.ledger, name, f"public.{name}", Layout()),
            require_check=False,
        )

    def features(
        self,
        key: str,
        *,
        sql: str = SQL,
        again: str = "",
        parameters: Mapping[str, Any] | None = None,
        inputs: Mapping[str, str] | None = None,
    ) -> Version:
        """Make the features of a month.

        :param inputs: name in the query -> dataset, where it is another than the source of that name.
        """
        staged = stage_query(
            ledger=self.ledger,
            store=self.ledger.store,
            identity=self.who("features", key + again),
            target=Target("trip_features", "partition", key, location="public.trip_features"),
            query=sql,
            inputs={name: name for name in COLUMNS} | dict(inputs or {}),
            parameters=parameters or {"partition_key": key},
        )
        return self.publish("trip_features", key + again, staged)

    def month(self, month: int, tables: Tables) -> None:
        """Bring a month in, and make its features."""
        key = month_key(month)
        for name, table in tables.items():
            self.bring(name, key, table)
        self.features(key)

    def train(self) -> Version:
        """Train on what is there, and promote."""
        common: Any = {"ledger": self.ledger, "warehouse": self.ledger.warehouse}
        window = DataWindow(time_column="at", key_columns=("id",), batches=3, min_batches=2)
        plan = plan_training(
            **common, model="trip_late", dataset="trip_features", target="late", window=window
        )
        if not isinstance(plan, TrainingPlan):
            raise TypeError(plan)
        shop = Workshop(LogisticTrainer(), self.registry, LogisticScorer, self.folder, "trips")
        version = train_model(**common, identity=self.who("train", "1"), plan=plan, spec=SPEC, workshop=shop)
        report = evaluate_model(
            **common,
            identity=self.who("evaluate", "1"),
            challenger=version.ref,
            policy=PromotionPolicy(),
            bench=self.bench,
        )
        promote_model(
            ledger=self.ledger,
            identity=self.who("promote", "1"),
            model="trip_late",
            evaluation=report.report_id,
        )
        return self.ledger.versions.find("trip_late@champion")

    def watch(self, month: int, *, again: str = "") -> Report:
        """Score a month and look at it."""
        key = month_key(month)
        common: Any = {"ledger": self.ledger, "warehouse": self.ledger.warehouse}
        score_batch(
            **common,
            store=self.ledger.store,
            identity=self.who("score", key + again),
            model="trip_late",
            dataset="trip_features",
            predictions="trip_scores",
            view=Relation("public", "trip_scores"),
            key_columns=("id",),
            partition_key=key,
            bench=self.bench,
        )
        return observe_batch(
            **common,
            identity=self.who("monitor", key + again),
            model="trip_late",
            predictions="trip_scores",
            key_columns=("id",),
            partition_key=key,
            policy=MonitorPolicy(),
        )


def _plain(values: Any) -> list[Any]:
    return [None if isinstance(v, float) and np.isnan(v) else v for v in values.tolist()]
