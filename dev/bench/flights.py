"""The year of the flights, watched: which months a monitor calls drifted or decayed, beside the usual rules.

The model as ``dags/`` trains it, on September and October of 2013, with features made by the query of ``dags/sql``.
Then November and December come as they did; and, each in a ledger of its own, every other month of the year as if it
came next: a model of autumn meets winter, spring and summer. Beside what the monitor says, under the policy of
``dags/flights_monitor.py``: how many columns a Kolmogorov-Smirnov or chi-squared test at p < .05 calls drifted, each
alone. An alarm is raised there by any.

    python -m dev.bench.flights
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scipy import stats  # noqa: TID253 - the rule ours is compared with

from airflow_dataml.adapters.lightning import LightningTrainer
from airflow_dataml.adapters.onnx import OnnxScorer
from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.adapters.postgres.migrate import migrate
from airflow_dataml.core.contract import Contract
from airflow_dataml.core.datasets import Column
from airflow_dataml.core.evaluation import PromotionPolicy
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.monitoring import MonitorPolicy
from airflow_dataml.core.refs import AssetNaming, Relation, TaskKey
from airflow_dataml.core.runs import RunIdentity
from airflow_dataml.core.training import TrainingSpec
from airflow_dataml.core.windows import DataWindow, TrainingPlan
from airflow_dataml.steps.evaluate import Bench, evaluate_model
from airflow_dataml.steps.ingest import Target, stage_csv, stage_query
from airflow_dataml.steps.observe import observe_batch
from airflow_dataml.steps.plan import plan_training
from airflow_dataml.steps.promote import promote_model
from airflow_dataml.steps.publish import place_of, publish_part
from airflow_dataml.steps.score import score_batch
from airflow_dataml.steps.train import Workshop, train_model
from airflow_dataml.testing import InMemoryRegistry
from dev.embedded import embedded_postgres, ensure_database
from dev.lifecycle.landing import Landing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.core.datasets import StagedPart
    from airflow_dataml.core.governance import Report

DAGS = Path(__file__).parents[2] / "dags"
SOURCES = ("flights", "weather", "planes", "airports")
KEY = ("year", "month", "day", "carrier", "flight", "origin", "dest", "sched_dep_time")
SPEC = TrainingSpec.from_yaml(DAGS / "specs" / "flight_delay.yml")
# What dags/flights_monitor.py says.
POLICY = MonitorPolicy.model_validate({"tolerance": 0.1, "decay_tolerance": 0.3, "alarm_budget": 60})
TRAINED = (9, 10)
# What comes next: the year as it went on, or each of its other months instead.
NEXT = ((11, 12), *((month,) for month in range(1, 9)))


class Year:
    """One deployment; each verb is one task of the DAGs.

    :param folder: where batches land and models are built.
    """

    def __init__(self, ledger: PostgresLedger, folder: Path) -> None:
        self.ledger, self.folder, self.landing = ledger, folder, Landing(folder / "landing")
        self.bench = Bench(InMemoryRegistry(), OnnxScorer.load, folder)
        kinds = dict.fromkeys((*SOURCES, "flight_features"), "dataset")
        kinds |= {"flight_delay": "model", "flight_predictions": "prediction"}
        for name, kind in kinds.items():
            said: Any = kind
            ledger.assets.register(name=name, kind=said, uri=AssetNaming().uri("dataset", name))
        for path in self.landing.deliver_reference():
            self.bring(path.stem, None, path)

    def who(self, task: str, run: str = "") -> RunIdentity:
        """Identity of a task."""
        return RunIdentity(task=TaskKey("year", run or "once", task))

    def bring(self, name: str, key: str | None, path: Path) -> None:
        """Stage and publish a file."""
        contract = Contract.from_file(DAGS / "contracts" / f"{name}.yml")
        columns = [Column(column.name, column.data_type or "") for column in contract.columns]
        staged = stage_csv(
            ledger=self.ledger,
            store=self.ledger.store,
            identity=self.who(f"stage_{name}", key or ""),
            target=Target(name, "partition" if key else "replace", key, location=f"public.{name}"),
            path=path,
            columns=columns,
        )
        self.publish(name, key or "", staged)

    def publish(self, name: str, run: str, staged: StagedPart) -> None:
        """Publish what was staged."""
        publish_part(
            ledger=self.ledger,
            store=self.ledger.store,
            identity=self.who(f"publish_{name}", run),
            staged=staged,
            place=place_of(self.ledger, name, f"public.{name}", Layout()),
            require_check=False,
        )

    def month(self, key: str) -> None:
        """Bring a month in, and make its features."""
        for path in self.landing.deliver_month(key):
            self.bring(path.parent.name, key, path)
        staged = stage_query(
            ledger=self.ledger,
            store=self.ledger.store,
            identity=self.who("features", key),
            target=Target("flight_features", "partition", key, location="public.flight_features"),
            query=(DAGS / "sql" / "flight_features.sql").read_text(),
            inputs={name: name for name in SOURCES},
            parameters={"partition_key": key},
        )
        self.publish("flight_features", key, staged)

    def train(self) -> None:
        """Train on what is there, and promote."""
        common: Any = {"ledger": self.ledger, "warehouse": self.ledger.warehouse}
        window = DataWindow(time_column="time_hour", key_columns=KEY, batches=3, min_batches=2)
        plan = plan_training(
            **common, model="flight_delay", dataset="flight_features", target="late", window=window
        )
        if not isinstance(plan, TrainingPlan):
            raise TypeError(plan)
        shop = Workshop(LightningTrainer(), self.bench.registry, OnnxScorer.load, self.folder, "flights")
        version = train_model(**common, identity=self.who("train"), plan=plan, spec=SPEC, workshop=shop)
        report = evaluate_model(
            **common,
            identity=self.who("evaluate"),
            challenger=version.ref,
            policy=PromotionPolicy(confidence=0.95, min_rows=1000),
            bench=self.bench,
        )
        promote_model(
            ledger=self.ledger,
            identity=self.who("promote"),
            model="flight_delay",
            evaluation=report.report_id,
        )

    def watch(self, key: str) -> Report:
        """Score a month and look at it."""
        common: Any = {"ledger": self.ledger, "warehouse": self.ledger.warehouse, "partition_key": key}
        common |= {"model": "flight_delay", "predictions": "flight_predictions", "key_columns": KEY}
        score_batch(
            **common,
            store=self.ledger.store,
            identity=self.who("score", key),
            dataset="flight_features",
            view=Relation("public", "flight_predictions"),
            bench=self.bench,
        )
        return observe_batch(**common, identity=self.who("monitor", key), policy=POLICY)

    def usual(self, month: int) -> list[str]:
        """The features a test of each column alone calls drifted at p < .05."""
        found = []
        for feature in SPEC.features:
            values = f"SELECT {feature.name} FROM public.flight_features WHERE {feature.name} IS NOT NULL AND month = ANY(%s)"
            then, now = (
                [
                    value
                    for row in self.ledger.connection.raw.execute(values.encode(), [list(months)])
                    for value in row.values()
                ]
                for months in (TRAINED, (month,))
            )
            if feature.kind == "numeric":
                p = stats.ks_2samp(then, now).pvalue
            else:
                known = sorted({*then, *now}, key=str)
                p = stats.chi2_contingency(
                    [[side.count(one) for one in known] for side in (then, now)]
                ).pvalue
            if p < 0.05:
                found.append(feature.name)
        return found


def watch_months(server: str, months: Sequence[int]) -> None:
    """Print a line for each month after the training, in a ledger of their own."""
    dsn = ensure_database(server, f"year_{months[0]}")
    with Connection(dsn) as connection:
        migrate(connection)
    with tempfile.TemporaryDirectory(prefix="dataml-") as folder, PostgresLedger.connect(dsn) as ledger:
        year = Year(ledger, Path(folder))
        for month in TRAINED:
            year.month(f"2013-{month:02d}")
        year.train()
        for month in months:
            key = f"2013-{month:02d}"
            year.month(key)
            report = year.watch(key)
            print(
                f"{key:9}{report.verdict:9}{len(year.usual(month)):>6} of {len(SPEC.features)}  {report.body['summary']}",
                flush=True,
            )


def main() -> None:
    """Watch the year."""
    logging.disable(logging.WARNING)
    print(f"{'month':9}{'verdict':9}{'p < .05':>12}  what the monitor says")
    with tempfile.TemporaryDirectory(prefix="dataml-pg-") as data, embedded_postgres(Path(data)) as server:
        for months in NEXT:
            watch_months(server, months)


if __name__ == "__main__":
    main()
