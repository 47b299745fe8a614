"""What the catalog says, handed on every night: a page for a data portal, and rows that others can load and verify."""

from __future__ import annotations

from airflow.sdk import DAG
from flights_assets import RETRIES

from airflow_dataml import config
from airflow_dataml.operators.exports import CatalogExportOperator

FOLDER = f"{config.work_dir()}/exports"

# [region export]
with DAG(
    "catalog_export", schedule="@daily", catchup=False, max_active_runs=1, tags=["flights"], doc_md=__doc__
):
    CatalogExportOperator(
        task_id="portal",
        format="dcat",
        folder=f"{FOLDER}/portal",
        settings={"publisher": "ACME", "base_uri": "https://data.acme.org/"},
        **RETRIES,
    )
    CatalogExportOperator(
        task_id="loadable",
        format="croissant",
        folder=f"{FOLDER}/loadable",
        assets=["flights"],
        with_data=True,
        **RETRIES,
    )
    # [endregion export]
