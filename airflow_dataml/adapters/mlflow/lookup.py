"""Finding by tag what an earlier try wrote to MLflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.core.registry import KEY_TAG, SOURCE_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient

DIGEST_TAG = "dataml.digest"


def find_run(client: MlflowClient, experiment_id: str, key: str) -> Any | None:
    """Return the oldest run of a key."""
    found = client.search_runs(
        [experiment_id],
        filter_string=f"tags.`{KEY_TAG}` = '{key}'",
        order_by=["attributes.start_time ASC", "attributes.run_id ASC"],
        max_results=1,
    )
    return found[0] if found else None


def find_model(client: MlflowClient, experiment_id: str, run_id: str, digest: str) -> Any | None:
    """Return the model of these bytes that a run logged, or began to log."""
    found = client.search_logged_models(
        [experiment_id],
        filter_string=f"source_run_id = '{run_id}' AND tags.`{DIGEST_TAG}` = '{digest}'",
        max_results=1,
        order_by=[{"field_name": "creation_time", "ascending": True}],
    )
    return found[0] if found else None


def find_version(client: MlflowClient, model: str, key: str, source: str) -> int | None:
    """Return the version that a key registered from a source."""
    found = client.search_model_versions(f"name = '{model}' AND tags.`{KEY_TAG}` = '{key}'")
    numbers = [int(version.version) for version in found if version.tags.get(SOURCE_TAG) == source]
    return min(numbers, default=None)
