"""Training for real, twice: the same bits on one machine, and the exact difference where something changed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.cli.main import main
from airflow_dataml.core.errors import SpecError, VersionNotFoundError
from airflow_dataml.operators.reproduce import ModelReproduceOperator
from tests.integration.operators.harness import run
from tests.integration.operators.telling import tell
from tests.openlineage_schemas import problems

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.operators.world import World

_REGISTERED = "SELECT count(*) FROM mlflow.model_versions"
_RUNS = "SELECT count(*) FROM mlflow.runs"


@pytest.fixture
def world(make_world: Callable[[], World]) -> World:
    """A world with ``ride_late@1``, trained."""
    world = make_world()
    for month in (1, 2):
        for operator, key in world.ingest(month):
            world.results[operator.task_id, key] = run(operator, run_id=key, partition_key=key)
    for operator, key in world.train("2026-02"):
        world.results[operator.task_id, key] = run(operator, run_id=key, partition_key=key)
        if operator.task_id == "train":
            break
    return world


def reproduce(version: str = "ride_late@1") -> ModelReproduceOperator:
    return ModelReproduceOperator(task_id="reproduce", version=version)


def counted(world: World, query: str) -> Any:
    with world.ledger() as ledger:
        return ledger.connection.scalar(query)


def test_the_same_training_gives_the_same_bits(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    before = [counted(world, query) for query in (_REGISTERED, _RUNS)]
    told = tell(reproduce())
    assert told.error is None
    found = told.result
    assert (found["verdict"], found["version"]) == ("pass", "ride_late@1")
    assert "bit-equal" in found["summary"]
    assert [counted(world, query) for query in (_REGISTERED, _RUNS)] == before
    with world.ledger() as ledger:
        body = ledger.reports.get(found["report"]).body
    assert (body["environment_differences"], body["metadata_differences"]) == ([], [])
    assert body["weights"]["digest_then"] == body["weights"]["digest_now"]
    assert body["weights"]["values"] > 1000
    assert problems(told.start) == problems(told.end) == []
    assert told.input("models/ride_late")["facets"]["version"]["datasetVersion"] == "1"
    assert told.input("ride_features")["facets"]["version"]["datasetVersion"] == "2"
    assert told.end["run"]["facets"]["test"]["tests"][0]["status"] == "pass"
    assert run(reproduce(), try_number=2) == found

    assert main(["reproduce", "ride_late@1"]) == 0
    # Telling has Airflow write its log to standard output too.
    out = capsys.readouterr().out
    assert "\nride_late@1 bit-equal: " in out
    assert "Kept as report" in out


def test_another_seed_is_different_by_exactly_this(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    with world.ledger() as ledger:
        ledger.connection.execute(
            "UPDATE dataml.version SET facts = jsonb_set(facts, '{spec,seed}', '8') WHERE facts ? 'spec'"
        )
    assert main(["reproduce", "ride_late@1", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["verdict"], found["bit_equal"]) == ("fail", False)
    assert found["weights"]["different"][0]["max_abs"] > 0
    assert found["scores"]["different"] == found["scores"]["rows"] > 300
    assert {"what": "spec.seed", "then": 7, "now": 8} in found["metadata_differences"]
    result = run(reproduce())
    assert result["verdict"] == "fail"
    assert result["summary"] == found["summary"]


def test_rows_that_are_gone_are_an_error_that_names_the_remedy(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    with world.ledger() as ledger:
        version = ledger.versions.find("ride_features@2")
        parts = [part.part_id for part in ledger.versions.manifest(version.version_id)]
        ledger.versions.mark_parts(parts, state="dropped")
    with pytest.raises(VersionNotFoundError, match="from a backup that still has them"):
        run(reproduce())
    assert main(["reproduce", "ride_late@1"]) == 1
    assert "dataml: ride_late@1 cannot be reproduced: rows of ride_features@2" in capsys.readouterr().err


def test_what_is_no_model_is_refused(world: World) -> None:
    with pytest.raises(SpecError, match=r"a reproduction needs to know what .* nobody trained it here"):
        run(reproduce("rides@1"))
