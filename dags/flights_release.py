"""Switch what readers see of the features and the model together, once two people agreed.

Start it with a configuration that names both, and says why:
``{"features": "flight_features@3", "model": "flight_delay@2", "reason": "trained on them"}``.
"""

from __future__ import annotations

from airflow.sdk import DAG
from flights_assets import RETRIES, flight_delay, flight_features

from airflow_dataml.operators.approval import ApprovalOperator
from airflow_dataml.operators.release import ReleaseOperator

# [region release]
POLICY = {"required": 2, "expires_after": 86_400}
DATASETS = {flight_features: "{{ dag_run.conf['features'] }}"}
MODELS = {flight_delay: "{{ dag_run.conf['model'] }}"}

with DAG(
    "flights_release", schedule=None, catchup=False, max_active_runs=1, tags=["flights"], doc_md=__doc__
):
    approve = ApprovalOperator(task_id="approve", datasets=DATASETS, models=MODELS, policy=POLICY)
    release = ReleaseOperator(
        task_id="release",
        datasets=DATASETS,
        models=MODELS,
        approval=POLICY,
        reason="{{ dag_run.conf['reason'] }}",
        **RETRIES,
    )
    approve >> release
    # [endregion release]
