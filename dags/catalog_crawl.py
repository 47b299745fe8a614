"""What every table of a database is, who answers for it and how fresh it must be, kept in one catalog every night."""

from __future__ import annotations

from airflow.sdk import DAG
from flights_assets import HERE, RETRIES

from airflow_dataml.operators.catalog import CatalogCrawlOperator, CatalogRegisterOperator

# [region catalog]
with DAG(
    "catalog_crawl", schedule="@daily", catchup=False, max_active_runs=1, tags=["flights"], doc_md=__doc__
):
    declare = CatalogRegisterOperator(task_id="declare", path=str(HERE / "catalog.yml"), **RETRIES)
    crawl = CatalogCrawlOperator(
        task_id="crawl", scope={"include": ["public"], "exclude": ["public.tmp_*"]}, **RETRIES
    )
    declare >> crawl
    # [endregion catalog]
