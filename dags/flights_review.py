"""Before anybody answers for the champion: what its scores rest on, its card, and whether it comes out the same."""

from __future__ import annotations

from airflow.sdk import DAG
from flights_assets import RETRIES, flight_delay

from airflow_dataml.operators.card import ModelCardOperator
from airflow_dataml.operators.explanation import ModelExplainOperator
from airflow_dataml.operators.reproduce import ModelReproduceOperator

# [region review]
with DAG(
    "flights_review",
    schedule=None,
    catchup=False,
    max_active_runs=1,
    tags=["flights"],
    doc_md=__doc__,
):
    champion = f"{flight_delay.name}@champion"
    explain = ModelExplainOperator(
        task_id="explain", version=champion, slices=["origin"], max_rows=2000, repeats=5, **RETRIES
    )
    reproduce = ModelReproduceOperator(task_id="reproduce", version=champion, **RETRIES)
    card = ModelCardOperator(task_id="card", version=champion, format="html", **RETRIES)
    explain >> reproduce >> card
    # [endregion review]
