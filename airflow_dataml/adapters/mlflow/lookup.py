"""Finding by tag what an earlier try wrote to MLflow, and what is written once whoever comes first."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.registry import KEY_TAG, SOURCE_TAG

if TYPE_CHECKING:
    import psycopg
    from mlflow import MlflowClient

DIGEST_TAG = "dataml.digest"
_VERSIONS_TAG = "mlflow.modelVersions"  # what MLflow's own server writes, so that its UI links both ways


def may_know(held: psycopg.Connection | None, key: str) -> bool:
    """Whether any run, deleted or not, may have a key; half a millisecond where a search takes five.

    :param held: the connection that holds the key's lock; without one the answer is yes.
    """
    if held is None:
        return True
    found = held.execute(
        "SELECT EXISTS (SELECT FROM tags WHERE key = %s AND value = %s)", [KEY_TAG, key]
    ).fetchone()
    return bool(found and found[0])


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


def ensure_registered(client: MlflowClient, model: str) -> None:
    """Make a registered model, unless there is one of that name."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(model)
    except MlflowException as err:
        if err.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def link(client: MlflowClient, logged: Any, model: str, version: int) -> None:
    """Tell the logged model which versions it became."""
    links = json.loads(logged.tags.get(_VERSIONS_TAG, "[]"))
    link = {"name": model, "version": version}
    if link not in links:
        client.set_logged_model_tags(logged.model_id, {_VERSIONS_TAG: json.dumps([*links, link])})
