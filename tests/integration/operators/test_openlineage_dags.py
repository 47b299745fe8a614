"""The example DAGs: what each of their tasks tells OpenLineage when it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.dag_processing.dagbag import DagBag

from airflow_dataml.operators.base import DataMLOperator
from dev.readme import ROOT
from tests.integration.operators.telling import started
from tests.openlineage_schemas import problems

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from tests.integration.operators.world import World


def test_every_task_of_the_example_dags_tells_what_the_schemas_allow(
    make_world: Callable[[], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_world()
    monkeypatch.syspath_prepend(str(ROOT / "dags"))
    bag = DagBag(str(ROOT / "dags"))
    assert bag.import_errors == {}
    told = 0
    for dag in bag.dags.values():
        for task in dag.tasks:
            if isinstance(task, DataMLOperator):
                event = started(task)
                assert problems(event) == [], f"{dag.dag_id}.{task.task_id}"
                assert event["run"]["facets"]["tags"]["tags"][0]["key"] == "dataml_kind"
                told += 1
    assert told > 20
