"""The demo's closing checks and its page, on a ledger written by hand as the story leaves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from airflow_dataml.adapters.postgres.lineage_projector import projector
from airflow_dataml.adapters.sqlglot import SqlglotParser
from airflow_dataml.core.catalog import AssetEntry
from airflow_dataml.core.datasets import Column, Fingerprint
from airflow_dataml.core.lineage import Edge, report_node, version_node
from airflow_dataml.core.refs import TaskKey
from airflow_dataml.core.runs import RunIdentity
from airflow_dataml.core.stores import NewPart
from airflow_dataml.steps.lineage import store_events
from dev.lifecycle.chapters import CHAPTERS, REPORT
from dev.lifecycle.checks import run_checks
from dev.lifecycle.external import WAREHOUSE, spark_events
from dev.lifecycle.summary import News, summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.runs import TaskRun

COLUMNS = (Column("n", "integer"),)
MODEL = "flight_delay"
FAILED = [{"column": c, "verdict": "fail"} for c in ("distance", "arr_delay")]


class Writer:
    """Puts facts into a ledger, each under a task of its own."""

    def __init__(self, ledger: PostgresLedger) -> None:
        self.ledger = ledger
        self.count = 0

    def run(self) -> TaskRun:
        self.count += 1
        identity = RunIdentity(task=TaskKey("flights", "run", f"task_{self.count}"))
        return self.ledger.runs.begin(identity, input_digest="")

    def asset(self, name: str, kind: str = "dataset") -> None:
        self.ledger.assets.register(name=name, kind=kind, uri=f"dataml://{kind}/{name}")  # type: ignore[arg-type]

    def batch(
        self,
        name: str,
        key: str | None,
        *inputs: Version,
        mark: int | None = None,
        columns: tuple[Column, ...] = COLUMNS,
        **facts: object,
    ) -> Version:
        run = self.run()
        content = self.count if mark is None else mark
        fact = run.fact(name)
        part = self.ledger.versions.add_part(
            run=run,
            fact=fact,
            part=NewPart(
                locator=f"dataml_data.p{self.count}",
                columns=columns,
                fingerprint=Fingerprint(1, content, content),
                profile={},
                partition_key=key,
            ),
        )
        version = self.ledger.versions.add(
            run=run, fact=fact, parts=[part], columns=columns, partition_key=key, facts=facts
        )
        self.ledger.versions.move_alias(asset=name, name="current", version_id=version.version_id, run=run)
        self.edges("derived", version, inputs)
        return version

    def model(self, trained_on: Version, reason: Report | None = None) -> Version:
        run = self.run()
        version = self.ledger.versions.add(run=run, fact=run.fact(MODEL))
        self.edges("trained_on", version, [trained_on])
        if reason is not None:
            edge = Edge(report_node(reason.report_id), version_node(version.version_id), "reason")
            self.ledger.lineage.add([edge], run=run)
        self.report("decision", "pass", version=version.ref, action="promote", reasons=["surely better"])
        return version

    def report(self, kind: str, verdict: str, *, asset: str = MODEL, **body: object) -> Report:
        run = self.run()
        return self.ledger.reports.add(run=run, fact=run.fact(asset), kind=kind, verdict=verdict, body=body)

    def watch(self, key: str, verdict: str, action: str) -> tuple[Report, Report]:
        monitor = self.report("monitor", verdict, partition_key=key, summary=f"verdict {verdict}")
        decision = self.report("decision", verdict, partition_key=key, action=action, reasons=[verdict])
        edge = Edge(report_node(monitor.report_id), report_node(decision.report_id), "reason")
        self.ledger.lineage.add([edge], run=self.run())
        return monitor, decision

    def edges(self, kind: str, target: Version, sources: Sequence[Version]) -> None:
        found = [Edge(version_node(s.version_id), version_node(target.version_id), kind) for s in sources]  # type: ignore[arg-type]
        self.ledger.lineage.add(found, run=self.run())


@pytest.fixture
def told(ledger: PostgresLedger) -> PostgresLedger:
    """A ledger at the end of the story."""
    write = Writer(ledger)
    for name in ("flights", "weather", "planes", "airports", "flight_features"):
        write.asset(name)
    write.asset("flight_predictions", "prediction")
    write.asset(MODEL, "model")
    reference = [write.batch(name, None) for name in ("planes", "airports")]
    features = {
        key: write.batch(
            "flight_features", key, write.batch("flights", key), write.batch("weather", key), *reference
        )
        for key in ("2013-09", "2013-10", "2013-11", "2013-12")
    }
    first = write.model(features["2013-10"])
    for key in ("2013-11", "2013-12"):
        scores = write.batch("flight_predictions", key, features[key], models={"champion": first.version_id})
        write.edges("scored_by", scores, [first])
    write.watch("2013-11", "pass", "wait")
    alarm, decision = write.watch("2013-12", "fail", "retrain")
    incident, _ = ledger.incidents.open(
        asset=MODEL, kind="decay", severity="high", title="loss grew", report_id=alarm.report_id
    )
    explained(write, incident.incident_id)
    second = write.model(features["2013-12"], decision)
    for name, version in (("champion", second), ("previous", first)):
        ledger.versions.move_alias(asset=MODEL, name=name, version_id=version.version_id, run=write.run())
    ledger.incidents.resolve(incident.incident_id, resolution=f"replaced by {second.ref}")
    refusal = write.report("check", "fail", asset="flights", partition_key="2014-01", checks=FAILED)
    ledger.incidents.open(
        asset="flights", kind="data", severity="high", title="batch 2014-01", report_id=refusal.report_id
    )
    reviewed_and_released(write, features, (first, second))
    asked_and_taught(write, second, features["2013-12"])
    later_chapters(write)
    everybodys_lineage(write)
    ledger.audit.add(action="promote", subject=second.ref, run=write.run(), detail={})
    ledger.connection.execute("CREATE SCHEMA mlflow")
    ledger.connection.execute(
        "CREATE TABLE mlflow.runs AS SELECT 'active' AS lifecycle_stage FROM generate_series(1, 5)"
    )
    return ledger


def reviewed_and_released(
    write: Writer, features: dict[str, Version], models: tuple[Version, Version]
) -> None:
    """A champion looked at closely, settings tried, and both going back and forth with two people's approval."""
    origins = [{"value": value} for value in ("EWR", "JFK", "LGA")]
    write.report("explanation", "pass", features=[{"feature": "dep_delay"}], slices=origins)
    write.report("reproduction", "pass", summary="bit-equal")
    write.report("card", "pass", summary="everything is there")
    trials = [{"state": "complete"} for _ in range(12)]
    write.report("tuning", "pass", trials=trials, best=3, front=[3], spec={"seed": 1})
    write.ledger.versions.add(run=(run := write.run()), fact=run.fact(MODEL), facts={"spec": {"seed": 1}})
    write.report("decision", "fail", version=f"{MODEL}@3", action="keep", reasons=["no better"])
    for number, months in ((0, "2013-10"), (1, "2013-12")):
        write.report("approval", "pass", facts={"approved_by": ["ann", "bob"]}, requesters=["admin"])
        identity = RunIdentity(task=TaskKey("flights_release", f"run{number}", "release"))
        run = write.ledger.runs.begin(identity, input_digest="")
        moves = {(MODEL, "champion"): models[number], ("flight_features", "current"): features[months]}
        with write.ledger.transaction():
            for (asset, alias), version in moves.items():
                write.ledger.versions.move_alias(
                    asset=asset, name=alias, version_id=version.version_id, run=run
                )


def explained(write: Writer, incident: int) -> None:
    """What changed upstream of the alarm was undone, and explains nothing."""
    outcome = "no data cause found"
    suspects = [
        {
            "version": version,
            "change": "new batch",
            "signs": [{"text": "values moved"}],
            "replay": {"what": "values mapped back", "reverted": 0.4, "now": 0.4, "before": 0.3},
        }
        for version in ("weather@4", "flights@4")
    ]
    write.report("blame", "pass", incident=incident, outcome=outcome, suspects=suspects, summary=outcome)
    write.ledger.incidents.suspect(incident, [{"outcome": outcome}])


def asked_and_taught(write: Writer, champion: Version, data: Version) -> None:
    """A change that was not let through, and a successor that is no better than its teacher."""
    lost = {"version": champion.ref, "said": "without visib: worse", "verdict": "fail", "method": "replayed"}
    write.report(
        "impact",
        "fail",
        asset="weather",
        proposed=[{"column": "visib"}],
        models=[lost | {"growth": {"low": 0.005}}],
    )
    write.asset("flight_delay_hard")
    hard = write.batch("flight_delay_hard", None)
    pins = {"warm_start": champion.ref, "teacher": champion.ref, "hard_examples": hard.ref}
    facts = {"spec": {"distill": {"teacher": champion.ref}}, "guidance": pins, "plan": {"version": data.ref}}
    run = write.run()
    taught = write.ledger.versions.add(run=run, fact=run.fact(MODEL), facts=facts)
    write.edges("trained_on", taught, [data, hard, champion])
    write.report("decision", "fail", version=taught.ref, action="keep", reasons=["no better"])


def later_chapters(write: Writer) -> None:
    """A gust set aside and come back, one content in two stores, and a merged branch."""
    for name in ("weather_hours", "daily_delays", "daily_delays_lake"):
        write.asset(name)
    gust = write.batch("weather_hours", "2013-02")
    write.batch("weather_hours", "2013-02")
    for name in ("daily_delays", "daily_delays_lake"):
        write.batch(name, "2013-10", mark=7)
    write.batch("daily_delays", None, columns=(*COLUMNS, Column("weekend", "boolean")))
    db, run = write.ledger.connection, write.run()
    [part] = write.ledger.versions.manifest(gust.version_id)
    db.execute("CREATE TABLE public.weather_hours AS SELECT 10.0 AS wind_speed")
    db.execute(
        """INSERT INTO dataml.quarantine (asset_id, run_key, fact_key, part_id, relation, row_count, tested, reasons, state)
           SELECT asset_id, %s, 'q', %s, 'dataml_data.q', 1, 9, '{"columns.wind_speed.checks.invalid": 1}', 'replayed'
           FROM dataml.asset WHERE name = 'weather_hours'""",
        [run.run_key, part.part_id],
    )
    db.execute(
        "INSERT INTO dataml.branch (name, schema_name, run_key, state) VALUES ('weekend', 'branch_weekend', %s, 'merged')",
        [run.run_key],
    )


_REPORT_SQL = """
INSERT INTO late_by_carrier (carrier, late_share)
SELECT f.carrier, avg((f.arr_delay > 15)::int) FROM flights f JOIN flight_predictions p USING (carrier) GROUP BY 1
"""


def everybodys_lineage(write: Writer) -> None:
    """A plain SQL task, a Spark job, and a crawl."""
    ledger, (server, schema) = write.ledger, WAREHOUSE
    soon = datetime.now(UTC) + timedelta(minutes=1)
    columns = {"flights": ("carrier", "arr_delay"), "flight_predictions": ("carrier", "score")}
    read = []
    for name, known in columns.items():
        ledger.connection.execute(
            "INSERT INTO dataml.asset_alias (namespace, name, asset_id) SELECT %s, %s, asset_id FROM dataml.asset WHERE name = %s",
            [server, f"{schema}.{name}", name],
        )
        facet = {"schema": {"fields": [{"name": column, "type": "text"} for column in known]}}
        read.append({"namespace": server, "name": f"{schema}.{name}", "facets": facet})
    wrote = {"namespace": server, "name": f"{schema}.late_by_carrier", "facets": {}}
    event = {
        **spark_events(soon)[1], "inputs": read, "outputs": [wrote],
        "job": {"namespace": "airflow", "name": "flights_report.report", "facets": {"sql": {"query": _REPORT_SQL}}},
        "run": {"runId": "01a20b8a-425d-7836-a445-0cba3b043500", "facets": {}},
    }  # fmt: skip
    writing = projector(ledger.connection, parser=SqlglotParser())
    told = store_events(events=[event, *spark_events(soon)], store=writing.inbox, projector=writing)
    assert [one.status for one in told] == ["stored"] * 3
    ledger.delivery.fan_out()
    found = AssetEntry(
        REPORT, "external", REPORT, subtype="table", columns=(Column("expected_share", "double precision"),),
        source="crawled", crawl_scope="all",
    )  # fmt: skip
    ledger.catalog.register_all([found])
    ledger.connection.execute("INSERT INTO dataml.crawl (scope, state) VALUES ('all', 'finished')")


def problems(ledger: PostgresLedger) -> dict[str, str]:
    return {result.name: result.problem for result in run_checks(ledger) if result.problem is not None}


def test_the_end_of_the_story_passes_every_check(told: PostgresLedger) -> None:
    assert problems(told) == {}


def test_every_chapter_counts_as_told(told: PostgresLedger) -> None:
    assert [c.title for c in CHAPTERS if not c.told(told)] == []


def test_what_a_chapter_found_is_told_in_words(told: PostgresLedger) -> None:
    words = [line for c in CHAPTERS if c.finds is not None for line in c.finds(told)]
    for part in (
        "weather@4, a new batch: values moved",
        "the loss is 0.400, not 0.400; the month before it was 0.300",
        "without visib: worse: fail",
        "flight_delay@4 began with the weights of flight_delay@2",
    ):
        assert any(part in line for line in words)


def test_of_what_did_not_happen_nothing_is_told(ledger: PostgresLedger) -> None:
    assert [line for c in CHAPTERS if c.finds is not None for line in c.finds(ledger)] == []


def test_an_empty_ledger_fails_every_check_but_the_last_batch(ledger: PostgresLedger) -> None:
    held = [result.name for result in run_checks(ledger) if result.problem is None]
    assert held == ["nothing followed from January: no features, no predictions, no judgement of the model"]
    assert not any(chapter.told(ledger) for chapter in CHAPTERS)


@pytest.mark.parametrize(
    ("statement", "check"),
    [
        pytest.param("INSERT INTO mlflow.runs VALUES ('active')", "MLflow", id="a second run"),
        pytest.param("DELETE FROM dataml.alias WHERE name = 'previous'", "champion", id="no way back"),
        pytest.param(
            "UPDATE dataml.incident SET state = 'new' WHERE kind = 'decay'",
            "December's incident",
            id="unresolved",
        ),
        pytest.param("UPDATE public.weather_hours SET wind_speed = 1048", "gust", id="the gust is back"),
        pytest.param("UPDATE dataml.quarantine SET state = 'open'", "gust", id="still set aside"),
        pytest.param(
            "UPDATE dataml.version SET fingerprint = asset_id::text", "Delta table", id="other content"
        ),
        pytest.param(
            "UPDATE dataml.lineage_event SET state = 'new'", "no lineage event", id="lineage that waits"
        ),
        pytest.param("DELETE FROM dataml.column_edge", "its columns", id="no columns"),
        pytest.param("DELETE FROM dataml.edge WHERE observed", "plain SQL report", id="no edges"),
        pytest.param("UPDATE dataml.asset SET subtype = 'view'", "a crawl", id="not crawled"),
        pytest.param("CREATE SCHEMA branch_weekend", "branch", id="a branch left over"),
        pytest.param("DELETE FROM dataml.edge WHERE kind = 'reason'", "lineage", id="no reason"),
        pytest.param(
            "UPDATE dataml.version SET partition_key = '2014-01' WHERE partition_key = '2013-12'",
            "nothing followed",
            id="a bad batch went on",
        ),
        pytest.param(
            "UPDATE dataml.report SET verdict = 'fail' WHERE kind = 'monitor'", "November", id="cried wolf"
        ),
        pytest.param(
            "UPDATE dataml.report SET body = jsonb_set(body, '{suspects, 0, replay}', 'null') WHERE kind = 'blame'",
            "December's incident was explained",
            id="a change was not undone",
        ),
        pytest.param(
            "UPDATE dataml.incident SET suspects = '[]'", "December's incident was explained", id="untold"
        ),
        pytest.param(
            "UPDATE dataml.report SET verdict = 'pass' WHERE kind = 'impact'",
            "weather without visibility",
            id="a loss was let through",
        ),
        pytest.param(
            "DELETE FROM dataml.edge WHERE src = (SELECT 'version:' || v.version_id FROM dataml.version v"
            " JOIN dataml.asset a USING (asset_id) WHERE a.name = 'flight_delay_hard')",
            "champion taught",
            id="hard flights are not in the lineage",
        ),
        pytest.param(
            "UPDATE dataml.report SET body = body || '{\"action\": \"promote\"}' WHERE body ->> 'version' = 'flight_delay@4'",
            "champion taught",
            id="a worse successor was promoted",
        ),
        pytest.param(
            "UPDATE dataml.report SET verdict = 'fail' WHERE kind = 'reproduction'",
            "trained again",
            id="other weights",
        ),
        pytest.param(
            "UPDATE dataml.report SET body = body || '{\"requesters\": [\"ann\"]}' WHERE kind = 'approval'",
            "both releases",
            id="approved by who asked",
        ),
        pytest.param(
            "UPDATE dataml.alias_history SET moved_at = now() WHERE name = 'champion'",
            "after going back",
            id="not together",
        ),
    ],
)
def test_a_wrong_end_is_named(told: PostgresLedger, statement: str, check: str) -> None:
    told.connection.execute(statement)
    assert any(name.startswith((check, f"the {check}")) for name in problems(told))


def test_the_page_shows_versions_decisions_incidents_and_lineage(
    told: PostgresLedger, ledger_dsn: str
) -> None:
    page = "\n".join(summary(ledger_dsn, model=MODEL, number=2))
    for part in (
        "flight_delay@2",
        "promote. surely better",
        "resolved: replaced by flight_delay@2",
        "planes@1",
    ):
        assert part in page


def test_news_is_told_once(told: PostgresLedger, ledger_dsn: str) -> None:
    news = News(ledger_dsn)
    first = list(news.lines())
    assert sum(line.startswith("!") for line in first) == 2
    assert list(news.lines()) == []
    news.close()
