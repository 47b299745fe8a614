"""A deployment for tests: one database with ledger and MLflow, files, and the ride lifecycle."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.operators.datasets import (
    DatasetPublishOperator,
    DatasetStageOperator,
    DatasetTransformOperator,
)
from airflow_dataml.operators.evaluation import ModelEvaluateOperator
from airflow_dataml.operators.monitoring import ModelMonitorOperator
from airflow_dataml.operators.quality import QualityCheckOperator
from airflow_dataml.operators.registry import ModelPromoteOperator
from airflow_dataml.operators.retraining import RetrainDecideOperator
from airflow_dataml.operators.scoring import ModelScoreOperator
from airflow_dataml.operators.training import ModelTrainOperator, TrainingPlanOperator
from tests.integration.operators.harness import (
    CONTRACT,
    DEMAND,
    FEATURES,
    PREDICTIONS,
    RIDES,
    SPEC,
    batch,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_dataml.operators.base import DataMLOperator

WINDOW = {"time_column": "at", "key_columns": ["id"], "batches": 2, "min_batches": 2}
FEATURES_SQL = "SELECT id, at, km, kind, late FROM rides WHERE to_char(at, 'YYYY-MM') = %(partition_key)s"


@dataclass
class World:
    """Where things are, and what earlier tasks returned."""

    dsn: str
    folder: Path
    results: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.folder / "rides.yml").write_text(CONTRACT)
        (self.folder / "spec.yml").write_text(SPEC)

    def ledger(self) -> PostgresLedger:
        """Open the ledger."""
        return PostgresLedger.connect(self.dsn)

    def ingest(self, month: int, **said: Any) -> Iterator[tuple[DataMLOperator, str]]:
        """Tasks that bring one month in, each with its batch; results of earlier ones are filled in."""
        key = f"2026-{month:02d}"
        path, contract = (
            batch(self.folder / f"{key}.csv", month=month, **said),
            str(self.folder / "rides.yml"),
        )
        yield DatasetStageOperator(task_id="stage", dataset=RIDES, path=str(path), contract=contract), key
        staged = self.results["stage", key]
        yield (
            QualityCheckOperator(
                task_id="audit", dataset=RIDES, staged=staged, contract=contract, scope="batch"
            ),
            key,
        )
        yield DatasetPublishOperator(task_id="publish", dataset=RIDES, staged=staged), key
        yield (
            DatasetTransformOperator(task_id="transform", dataset=FEATURES, sql=FEATURES_SQL, inputs=[RIDES]),
            key,
        )
        features = self.results["transform", key]
        yield (
            DatasetPublishOperator(
                task_id="publish_features", dataset=FEATURES, staged=features, require_check=False
            ),
            key,
        )

    def look(self, key: str) -> Iterator[tuple[DataMLOperator, str]]:
        """Tasks that verify what readers see, and a table nobody publishes."""
        contract = str(self.folder / "rides.yml")
        yield QualityCheckOperator(task_id="look", dataset=RIDES, contract=contract), key
        with self.ledger() as ledger:
            ledger.connection.execute(
                "CREATE TABLE IF NOT EXISTS public.hired AS SELECT * FROM public.rides LIMIT 50"
            )
        yield QualityCheckOperator(task_id="look_at_table", table="public.hired", contract=contract), key

    def train(self, key: str) -> Iterator[tuple[DataMLOperator, str]]:
        """Tasks that train, measure and promote."""
        yield (
            TrainingPlanOperator(
                task_id="plan", model=DEMAND, dataset=FEATURES, target="late", window=WINDOW
            ),
            key,
        )
        plan = self.results["plan", key]
        yield (
            ModelTrainOperator(task_id="train", model=DEMAND, plan=plan, spec=str(self.folder / "spec.yml")),
            key,
        )
        challenger = self.results["train", key]["version"]
        yield ModelEvaluateOperator(task_id="evaluate", challenger=challenger, policy={"min_rows": 300}), key
        evaluation = self.results["evaluate", key]["report"]
        yield ModelPromoteOperator(task_id="promote", model=DEMAND, evaluation=evaluation), key

    def watch(self, key: str) -> Iterator[tuple[DataMLOperator, str]]:
        """Tasks that score and observe a batch."""
        yield (
            ModelScoreOperator(
                task_id="score", model=DEMAND, dataset=FEATURES, predictions=PREDICTIONS, key_columns=["id"]
            ),
            key,
        )
        yield (
            ModelMonitorOperator(
                task_id="monitor",
                model=DEMAND,
                predictions=PREDICTIONS,
                key_columns=["id"],
                policy={"min_rows": 300},
            ),
            key,
        )
        yield (
            RetrainDecideOperator(
                task_id="decide", model=DEMAND, monitor=self.results["monitor", key]["report"]
            ),
            key,
        )


_FACTS = {
    "versions": """SELECT a.name, v.number, v.row_count, v.fingerprint, v.partition_key, v.fact_key,
                          v.facts -> 'artifact_digest' AS artifact
                   FROM dataml.version v JOIN dataml.asset a USING (asset_id)""",
    "parts": "SELECT fact_key, locator, row_count, hash_xor, hash_total, partition_key FROM dataml.part",
    "reports": "SELECT fact_key, kind, verdict FROM dataml.report",
    "aliases": """SELECT a.name, l.name AS alias, v.number FROM dataml.alias l JOIN dataml.asset a USING (asset_id)
                  JOIN dataml.version v USING (version_id)""",
    "alias_history": "SELECT h.name, a.name AS asset FROM dataml.alias_history h JOIN dataml.asset a USING (asset_id)",
    "edges": "SELECT e.kind, count(*) FROM dataml.edge e GROUP BY 1",
    "audit": "SELECT action, subject, actor FROM dataml.audit",
    "incidents": "SELECT kind, severity, title FROM dataml.incident",
    "outbox": "SELECT event_key, state FROM dataml.outbox",
    "pins": "SELECT holder, reason FROM dataml.pin",
    "states": "SELECT engine, plan, state -> 'values' FROM dataml.part_state",
    "runs": "SELECT dag_id, run_id, task_id, generation, state FROM dataml.run",
    "tables": "SELECT relname, relkind FROM pg_class WHERE relnamespace = 'dataml_data'::regnamespace",
    "mlflow runs": "SELECT r.status, t.value FROM mlflow.runs r JOIN mlflow.tags t ON t.run_uuid = r.run_uuid AND t.key = 'dataml.key'",
    "mlflow versions": "SELECT name, version FROM mlflow.model_versions",
    "mlflow aliases": "SELECT name, alias, version FROM mlflow.registered_model_aliases",
    "mlflow models": "SELECT count(*) FROM mlflow.logged_models",
}


def snapshot(world: World) -> dict[str, list[tuple[Any, ...]]]:
    """Everything the ledger and MLflow say, without times and surrogate numbers."""
    with world.ledger() as ledger:
        return {
            name: sorted((tuple(row.values()) for row in ledger.connection.rows(query)), key=repr)
            for name, query in _FACTS.items()
        }
