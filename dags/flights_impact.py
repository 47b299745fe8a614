"""Ask, before a change of the weather's columns is merged, what it would do to the models in use.

Trigger it from continuous integration with the branch of the pull request, ``{"dataml_branch": "..."}``, or by hand with
columns that would be gone, ``{"drop": ["visib"]}``; the run fails where a model in use would surely lose more than is
borne. ``dataml impact weather --branch NAME --markdown`` says the same on the command line, for a comment on the pull
request.
"""

from __future__ import annotations

from airflow.sdk import DAG
from flights_assets import RETRIES, weather

from airflow_dataml.operators.impact import ImpactCheckOperator

# [region impact]
with DAG(
    "flights_impact",
    schedule=None,
    catchup=False,
    render_template_as_native_obj=True,
    tags=["flights"],
    doc_md=__doc__,
):
    ImpactCheckOperator(
        task_id="impact",
        dataset=weather,
        drop="{{ dag_run.conf.get('drop', []) }}",
        policy={"tolerance": 0.01},
        **RETRIES,
    )
    # [endregion impact]
