"""Blame on PostgreSQL: real versions, real queries, a broken sixth month, and who it was."""

from __future__ import annotations

import itertools
import tempfile
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.core.blame import BlamePolicy
from airflow_dataml.core.errors import NotFoundError, SpecError
from airflow_dataml.core.transforms import TRANSFORM
from airflow_dataml.steps.blame import blame_incident
from airflow_dataml.steps.evaluate import Bench
from airflow_dataml.steps.ingest import Target, stage_query
from airflow_dataml.testing import InMemoryRegistry
from dev.bench.blame import BROKEN, CONCEPT, FAULTS, another_truth, copied, history, run
from dev.bench.blame_world import SQL, TRUTH, LogisticScorer, World, draw_month, month_key
from dev.embedded import ensure_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_dataml.core.governance import Report

_NUMBERS = itertools.count()
np = import_module("numpy")
KEY = month_key(BROKEN)


@pytest.fixture(scope="module")
def before(postgres_server: str) -> Iterator[World]:
    """Five quiet months in a database of their own."""
    with tempfile.TemporaryDirectory(prefix="blame-") as folder:
        yield history(ensure_database(postgres_server, "blame_history"), Path(folder), 0)


@pytest.fixture
def copy(postgres_server: str, before: World) -> Iterator[str]:
    """A copy of that database."""
    with copied(postgres_server, "blame_history", f"blame_{next(_NUMBERS)}") as dsn:
        yield dsn


@pytest.fixture
def world(copy: str, before: World) -> Iterator[World]:
    """The world as it stands after five months, nothing open."""
    with PostgresLedger.connect(copy) as ledger:
        for earlier in ledger.incidents.list(asset="trip_late"):
            ledger.incidents.resolve(earlier.incident_id, resolution="looked at")
        yield World(ledger, before.folder, before.registry)


def explain(world: World, task: str = "blame", **said: Any) -> Report:
    """Explain the newest incident."""
    ledger = world.ledger
    if "incident" not in said:
        said["incident"] = ledger.incidents.list(asset="trip_late", limit=1)[0].incident_id
    return blame_incident(
        ledger=ledger, warehouse=ledger.warehouse, identity=world.who(task, KEY), bench=world.bench, **said
    )


def tables(seed: int = 3, truth: dict[str, float] = TRUTH) -> Any:
    return draw_month(np.random.default_rng(seed), BROKEN, truth)


def warmed(found: Any) -> Any:
    """The same month, its temperatures in Fahrenheit."""
    found["weather"]["temp"] = found["weather"]["temp"] * 1.8 + 32
    return found


@pytest.mark.parametrize("kind", [*FAULTS, CONCEPT], ids=str)
def test_the_true_cause_is_first(kind: str, copy: str, before: World) -> None:
    found = run(copy, before, kind, 11)
    assert found.report is not None
    assert found.first == found.cause
    with PostgresLedger.connect(copy) as ledger:
        incident = ledger.incidents.get(found.report.body["incident"])
    if kind == CONCEPT:
        assert found.report.verdict == "pass"
        assert incident.suspects == [
            {"outcome": "no data cause found", "evidence": found.report.body["summary"]}
        ]
    else:
        assert incident.suspects[0]["version"].partition("@")[0] == found.cause


def test_labels_at_another_rate_are_no_data_cause(world: World) -> None:
    world.month(BROKEN, tables(truth=TRUTH | {"one": -3.0, "temp": 1.2, "km": -1.1}))
    world.watch(BROKEN)
    report = explain(world)
    [labels] = [one for one in report.body["suspects"] if one["asset"] == "outcomes"]
    assert "values of late moved" in labels["signs"][0]["text"]
    assert labels["replay"]["what"].startswith("labels as they came")
    assert report.body["outcome"] == "no data cause found"


class TestReplay:
    def test_a_batch_that_was_rewritten_is_put_back(self, world: World) -> None:
        good = tables()
        world.month(BROKEN, good)
        world.bring("weather", KEY, warmed(good)["weather"], again="-again")
        world.features(KEY, again="-again")
        world.watch(BROKEN)
        report = explain(world)
        first = report.body["suspects"][0]
        assert (report.verdict, first["asset"], first["change"]) == ("fail", "weather", "rewritten batch")
        assert first["replay"]["how"] == "earlier rows"
        assert first["replay"]["low"] > 0.5
        assert first["columns"] == ["temp", "wind"]
        # Nothing of the replay stays.
        connection = world.ledger.connection
        assert connection.scalar("SELECT count(*) FROM pg_class WHERE relname LIKE 'blame\\_%%'", []) == 0
        assert connection.scalar("SELECT to_regclass('pg_temp.weather')") is None

    def test_another_query_is_put_back(self, world: World) -> None:
        found = tables()
        for name, table in found.items():
            world.bring(name, KEY, table)
        world.features(KEY, sql=SQL.replace("w.temp,", "w.temp * 1.8 + 32 AS temp,"))
        world.watch(BROKEN)
        report = explain(world)
        first = report.body["suspects"][0]
        assert (report.verdict, first["asset"], first["change"]) == ("fail", "trip_features", "other query")
        assert first["replay"]["how"] == "earlier query"

    def test_without_the_query_values_are_mapped_back(self, world: World) -> None:
        world.month(BROKEN, tables())
        world.bring("weather", KEY, warmed(tables())["weather"], again="-again")
        world.features(KEY, again="-again", parameters={"partition_key": KEY, "api_token": "x"})
        world.watch(BROKEN)
        first = explain(world).body["suspects"][0]
        assert (first["asset"], first["change"], first["confirmed"]) == ("weather", "rewritten batch", True)
        assert first["replay"]["how"] == "mapped values"
        assert first["replay"]["what"] == "values of temp mapped back"

    def test_too_few_rows_leave_the_evidence(self, world: World) -> None:
        world.month(BROKEN, warmed(tables()))
        world.watch(BROKEN)
        report = explain(world, policy=BlamePolicy(rows=100, min_rows=101))
        first = report.body["suspects"][0]
        assert (report.verdict, report.body["outcome"], first["asset"]) == (
            "unknown",
            "not confirmed",
            "weather",
        )
        assert first["why_not"] == "fewer than 101 rows could be scored again"
        [line] = world.ledger.incidents.get(report.body["incident"]).suspects
        assert line["not_replayed"] == first["why_not"]
        assert "values of temp moved" in line["evidence"]


class Cleaned(World):
    """The weather goes through a dataset of its own before it becomes features."""

    def features(self, key: str, **said: Any) -> Any:
        """Clean the weather, then make the features of it."""
        staged = stage_query(
            ledger=self.ledger,
            store=self.ledger.store,
            identity=self.who("clean", key + said.get("again", "")),
            target=Target("weather_clean", "partition", key, location="public.weather_clean"),
            query="SELECT station, day, month, temp, wind FROM weather WHERE month = %(partition_key)s",
            inputs={"weather": "weather"},
            parameters={"partition_key": key},
        )
        self.publish("weather_clean", key + said.get("again", ""), staged)
        said.setdefault("inputs", {"weather": "weather_clean"})
        return super().features(key, **said)


def test_the_origin_is_found_behind_a_derived_dataset(world: World) -> None:
    deep, month = Cleaned(world.ledger, world.folder, world.registry), BROKEN + 1
    deep.ledger.assets.register(name="weather_clean", kind="dataset", uri="dataml://dataset/weather_clean")
    deep.month(BROKEN, tables())
    deep.watch(BROKEN)
    good = draw_month(np.random.default_rng(month), month, TRUTH)
    deep.month(month, good)
    deep.bring("weather", month_key(month), warmed(good)["weather"], again="-again")
    deep.features(month_key(month), again="-again")
    deep.watch(month)
    first = explain(deep).body["suspects"][0]
    assert (first["asset"], first["depth"], first["confirmed"]) == ("weather", 2, True)
    # Made again through both queries.
    assert (first["change"], first["replay"]["how"]) == ("rewritten batch", "earlier rows")


def test_a_catch_up_makes_nothing_of_the_alarmed_batch_known(world: World) -> None:
    month = BROKEN + 1
    batches = {
        BROKEN: tables(),
        month: warmed(draw_month(np.random.default_rng(month), month, TRUTH)),
    }
    # Both are there before either is scored, in every source and in the features.
    for number, found in batches.items():
        for name, table in found.items():
            world.bring(name, month_key(number), table)
    for number in batches:
        world.features(month_key(number))
    assert world.watch(BROKEN).verdict == "pass"
    world.watch(month)
    report = explain(world)
    first = report.body["suspects"][0]
    assert report.body["reference"].startswith(f"batch {KEY} of")
    assert (report.verdict, first["asset"], first["batch"]) == ("fail", "weather", month_key(month))


class TwoWays(Cleaned):
    """The wind reaches the features through a dataset of its own, the temperature directly."""

    def features(self, key: str, **said: Any) -> Any:
        """Join both."""
        joined = """LEFT JOIN clean c ON c.station = t.station AND c.month = %(partition_key)s
             AND c.day = extract(day FROM t.at)::integer LEFT JOIN vehicles"""
        said["sql"] = SQL.replace("w.wind", "c.wind").replace("LEFT JOIN vehicles", joined)
        return super().features(key, inputs={"clean": "weather_clean"}, **said)


def test_a_source_is_judged_by_all_ways_to_the_model(world: World) -> None:
    deep, month = TwoWays(world.ledger, world.folder, world.registry), BROKEN + 1
    deep.ledger.assets.register(name="weather_clean", kind="dataset", uri="dataml://dataset/weather_clean")
    deep.month(BROKEN, tables())
    deep.watch(BROKEN)
    weather = draw_month(np.random.default_rng(month), month, TRUTH)
    deep.month(month, weather)
    gusty = weather["weather"] | {"wind": weather["weather"]["wind"] * 3.6}
    deep.bring("weather", month_key(month), gusty, again="-again")
    deep.features(month_key(month), again="-again")
    deep.watch(month)
    first = explain(deep).body["suspects"][0]
    assert (first["asset"], first["depth"], first["columns"]) == ("weather", 1, ["temp", "wind"])
    assert [sign["column"] for sign in first["signs"]] == ["wind"]
    assert (first["replay"]["how"], first["confirmed"]) == ("earlier rows", True)


def test_what_could_not_be_tested_is_not_ruled_out(world: World, tmp_path: Path) -> None:
    world.month(BROKEN, tables(truth=another_truth(np.random.default_rng(5))))
    world.watch(BROKEN)
    world.bench = Bench(InMemoryRegistry(), LogisticScorer, tmp_path)
    report = explain(world)
    assert (report.verdict, report.body["outcome"]) == ("unknown", "not confirmed")
    assert "the champion could not score again" in report.body["note"]
    assert not any(one["tested"] for one in report.body["suspects"])


def test_a_retry_finds_what_its_earlier_try_wrote(world: World) -> None:
    world.month(BROKEN, warmed(tables()))
    world.watch(BROKEN)
    assert explain(world).report_id == explain(world).report_id
    assert explain(world, task="other").report_id != explain(world).report_id


def test_a_query_is_kept_with_the_part_it_made(world: World) -> None:
    version = world.ledger.versions.find("trip_features")
    report = world.ledger.reports.latest(
        asset="trip_features", kind=TRANSFORM, part_id=version.facts["part_id"]
    )
    assert report is not None
    assert set(report.body["inputs"]) == {"trips", "weather", "vehicles", "outcomes"}
    assert report.body["parameters"] == {"partition_key": "2026-05"}


def test_what_is_no_incident_of_a_model_is_refused(world: World) -> None:
    with pytest.raises(NotFoundError, match="incident 999 is not in the ledger"):
        explain(world, incident=999)
    task = world.ledger.runs.begin(world.who("verify", KEY), input_digest="x")
    report = world.ledger.reports.add(
        run=task, fact=task.fact("trips"), kind="check", verdict="fail", body={}
    )
    broken, _ = world.ledger.incidents.open(
        asset="trips", kind="data", severity="high", title="nulls", report_id=report.report_id
    )
    with pytest.raises(SpecError, match="rests on a 'check' report: blame explains drift and decay"):
        explain(world, incident=broken.incident_id)


def test_a_later_report_of_the_same_incident_is_explained_instead(world: World) -> None:
    concept = another_truth(np.random.default_rng(5))
    world.month(BROKEN, tables(truth=concept))
    world.watch(BROKEN)
    later = draw_month(np.random.default_rng(4), BROKEN + 1, concept)
    world.month(BROKEN + 1, later)
    monitor = world.watch(BROKEN + 1)
    report = explain(world, monitor=monitor.report_id)
    assert report.body["partition_key"] == month_key(BROKEN + 1)
    evaluation = world.ledger.reports.latest(asset="trip_late", kind="evaluation")
    assert evaluation is not None
    with pytest.raises(SpecError, match="rests on a 'evaluation' report"):
        explain(world, monitor=evaluation.report_id)
