"""The end of the story as assertions on the ledger."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_dataml.core.lineage import version_node
from airflow_dataml.emission import default_spool
from dev.lifecycle import findings
from dev.lifecycle.chapters import (
    BACK,
    FORTH,
    REPORT,
    is_crawled,
    is_released,
    model_reports,
    observed,
)
from dev.lifecycle.external import LAKE
from dev.lifecycle.findings import MODEL
from dev.lifecycle.landing import CORRUPTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.governance import Incident, Report, ReportKind
    from airflow_dataml.core.lineage import Direction


@dataclass(frozen=True, slots=True)
class Result:
    """One assertion and what was found instead, if it does not hold."""

    name: str
    problem: str | None

    def __str__(self) -> str:
        return f"ok      {self.name}" if self.problem is None else f"FAILED  {self.name}: {self.problem}"


_CHECKS: list[tuple[str, Callable[[PostgresLedger], str | None]]] = []


def check(
    name: str,
) -> Callable[[Callable[[PostgresLedger], str | None]], Callable[[PostgresLedger], str | None]]:
    """Register an assertion; it returns what is wrong, or nothing."""

    def register(function: Callable[[PostgresLedger], str | None]) -> Callable[[PostgresLedger], str | None]:
        _CHECKS.append((name, function))
        return function

    return register


def run_checks(ledger: PostgresLedger) -> Iterator[Result]:
    """Look at everything, whatever fails on the way."""
    for name, function in _CHECKS:
        try:
            problem = function(ledger)
        except Exception as err:  # noqa: BLE001 - a check that cannot look has failed, the others still count
            problem = f"{type(err).__name__}: {err}"
        yield Result(name, problem)


@check("flight_delay has exactly four versions: two that were asked for, a tuned one and one that was taught")
def _versions(ledger: PostgresLedger) -> str | None:
    return _unless(_numbers(ledger, MODEL), [1, 2, 3, 4])


@check("the champion is version 2, the previous one version 1")
def _aliases(ledger: PostgresLedger) -> str | None:
    found = {name: ledger.versions.alias(MODEL, name) for name in ("champion", "previous")}
    return _unless({n: v.number if v else None for n, v in found.items()}, {"champion": 2, "previous": 1})


@check("each version was promoted by a decision with reasons")
def _promotions(ledger: PostgresLedger) -> str | None:
    decisions = [r for r in ledger.reports.list(asset=MODEL, limit=200) if r.kind == "decision"]
    promoted = {r.body.get("version") for r in decisions if r.body["action"] == "promote"}
    return _unless(promoted - {f"{MODEL}@3", f"{MODEL}@4"}, {f"{MODEL}@1", f"{MODEL}@2"}) or _reasonless(
        decisions
    )


@check("November raised no alarm, and the decision was to wait")
def _november(ledger: PostgresLedger) -> str | None:
    report = _only(model_reports(ledger, "monitor", "2013-11"), "monitor report")
    if report.verdict == "fail":
        return f"the verdict is {report.verdict}: {report.body.get('summary')}"
    if incidents := [i.title for i in ledger.incidents.list() if i.report_id == report.report_id]:
        return f"it opened {incidents}"
    return _unless(_action(ledger, "2013-11"), "wait")


@check("December raised the alarm, and the decision was to retrain")
def _december(ledger: PostgresLedger) -> str | None:
    report = _only(model_reports(ledger, "monitor", "2013-12"), "monitor report")
    return _unless(report.verdict, "fail") or _unless(_action(ledger, "2013-12"), "retrain")


@check("December's incident was resolved by version 2")
def _incident(ledger: PostgresLedger) -> str | None:
    incident = _december_incident(ledger)
    if incident.state != "resolved" or f"{MODEL}@2" not in (incident.resolution or ""):
        return f"it is {incident.state}, resolution {incident.resolution!r}"
    return None


@check(
    "December's incident was explained: each change upstream was undone, and no fault of the data explains it"
)
def _explained_incident(ledger: PostgresLedger) -> str | None:
    incident, report = _december_incident(ledger), findings.blame_report(ledger)
    if report is None:
        return "nobody explained it"
    undone = sorted(one["version"] for one in report.body["suspects"] if one["replay"])
    asked = (report.body["incident"], report.body["outcome"], undone)
    wanted = (incident.incident_id, "no data cause found", ["flights@4", "weather@4"])
    told = {line.get("outcome") for line in incident.suspects}
    return _unless(asked, wanted) or _unless(told, {"no data cause found"})


@check("November and December were scored once each, by version 1")
def _scores(ledger: PostgresLedger) -> str | None:
    found = {
        v.partition_key: ledger.versions.by_id(v.facts["models"]["champion"]).number
        for v in ledger.versions.list("flight_predictions")
    }
    wrong = _unless(found, {"2013-11": 1, "2013-12": 1})
    return wrong or _unless(_numbers(ledger, "flight_predictions"), [1, 2])


@check("flights has four versions, one per good month")
def _flights(ledger: PostgresLedger) -> str | None:
    months = [v.partition_key for v in ledger.versions.list("flights")][::-1]
    return _unless(months, ["2013-09", "2013-10", "2013-11", "2013-12"])


@check("January's contract report fails and names distance and arr_delay")
def _january(ledger: PostgresLedger) -> str | None:
    report = _only(
        [
            r
            for r in ledger.reports.list(asset="flights")
            if r.kind == "check" and r.body.get("partition_key") == CORRUPTED
        ],
        "check report",
    )
    failed = json.dumps([c for c in report.body["checks"] if c.get("verdict") == "fail"])
    silent = [column for column in ("distance", "arr_delay") if column not in failed]
    return _unless(report.verdict, "fail") or (f"no failing check names {silent}" if silent else None)


@check("exactly one data incident is open, on flights")
def _data_incident(ledger: PostgresLedger) -> str | None:
    still_open = [(i.asset, i.kind) for i in ledger.incidents.list() if i.state != "resolved"]
    return _unless(still_open, [("flights", "data")])


@check("nothing followed from January: no features, no predictions, no judgement of the model")
def _no_consequence(ledger: PostgresLedger) -> str | None:
    followed = [
        v.ref
        for name in ("flight_features", "flight_predictions")
        for v in ledger.versions.list(name)
        if v.partition_key == CORRUPTED
    ]
    followed += [f"monitor report {r.report_id}" for r in model_reports(ledger, "monitor", CORRUPTED)]
    return f"found {followed}" if followed else None


@check("the lineage of flight_delay@2 reaches flights, weather, planes and the alarm")
def _lineage(ledger: PostgresLedger) -> str | None:
    start = version_node(_model(ledger, 2).version_id)
    graph = ledger.lineage.walk(str(start), direction="upstream")
    alarm = f"report:{_december_incident(ledger).report_id}"
    reached = {node.label.partition("@")[0] for node in graph.nodes} | {node.node for node in graph.nodes}
    missing = [name for name in ("flights", "weather", "planes", alarm) if name not in reached]
    return f"it does not reach {missing}" if missing else None


@check("the gust was set aside with its reason, and its row came back repaired")
def _gust(ledger: PostgresLedger) -> str | None:
    row = ledger.connection.one(
        """SELECT q.state, q.row_count, q.reasons, a.name FROM dataml.quarantine q JOIN dataml.asset a USING (asset_id)"""
    )
    found = (row["name"], row["state"], row["row_count"], list(row["reasons"]))
    wrong = _unless(found, ("weather_hours", "replayed", 1, ["columns.wind_speed.checks.invalid"]))
    gusts = ledger.connection.scalar("SELECT max(wind_speed) FROM public.weather_hours")
    return wrong or (f"wind_speed still reaches {gusts}" if gusts > 250 else None)


@check("the Delta table holds what PostgreSQL held before the branch, under one fingerprint")
def _lake(ledger: PostgresLedger) -> str | None:
    fingerprints = [
        ledger.versions.find(f"{name}@1").fingerprint for name in ("daily_delays", "daily_delays_lake")
    ]
    return _unless(fingerprints[1], fingerprints[0])


@check("the branch was merged: its column is there for everybody, its schema is gone")
def _branch(ledger: PostgresLedger) -> str | None:
    [branch] = ledger.branches.list()
    current = ledger.versions.find("daily_delays")
    added = "weekend" in {column.name for column in ledger.versions.columns(current.version_id)}
    schema = ledger.connection.scalar("SELECT to_regnamespace(%s)", [branch["schema_name"]])
    return _unless((branch["state"], added, schema), ("merged", True, None))


@check("the audit chain is unbroken")
def _audit(ledger: PostgresLedger) -> str | None:
    entries, fault = ledger.audit.verify()
    return fault or (None if entries else "it is empty")


@check("MLflow has one run per version, and one of the tuning")
def _mlflow(ledger: PostgresLedger) -> str | None:
    runs = ledger.connection.scalar("SELECT count(*) FROM mlflow.runs WHERE lifecycle_stage = 'active'")
    return _unless(runs, 5)


@check(
    "no lineage event was lost: every task's end is in the graph and at the backend, and nothing is left in the spool"
)
def _nothing_lost(ledger: PostgresLedger) -> str | None:
    told = ledger.connection.one(
        """SELECT (SELECT count(*) FROM dataml.lineage_event) AS events,
                  (SELECT count(*) FROM dataml.lineage_event WHERE state <> 'stored') AS out_of_the_graph,
                  (SELECT count(*) FROM dataml.lineage_delivery WHERE state <> 'delivered') AS undelivered,
                  (SELECT count(*) FROM dataml.run WHERE begun > 0 AND state = 'success' AND task_id NOT LIKE '%~%'
                     AND dag_id <> 'dataml-cli' AND ol_state IS DISTINCT FROM 'COMPLETE') AS unheard_of"""
    )
    spooled = 0 if default_spool().is_empty() else 1
    if told.pop("events") == 0:
        return "there are none"
    return f"found {told}, spool {spooled}" if any(told.values()) or spooled else None


@check(
    "the plain SQL report is in the graph: made from the versions it read, and the model is among what they led to"
)
def _report(ledger: PostgresLedger) -> str | None:
    version = observed(ledger, REPORT)
    if version is None:
        return "nobody was seen writing it"
    above = _labels(ledger, version, "upstream")
    if missing := {"flights@4", "flight_predictions@2", f"{MODEL}@1"} - above:
        return f"it was not made from {sorted(missing)}"
    below = _labels(ledger, ledger.versions.find("flights@4").version_id, "downstream")
    missing = {REPORT, MODEL} - {label.rpartition("@")[0] for label in below}
    return f"flights@4 did not lead to {sorted(missing)}" if missing else None


@check("its columns are known too: late_share comes from arr_delay")
def _columns(ledger: PostgresLedger) -> str | None:
    rows = ledger.connection.rows(
        """SELECT s.name || '.' || e.src_column AS src FROM dataml.column_edge e JOIN dataml.asset s ON s.asset_id = e.src
           JOIN dataml.asset d ON d.asset_id = e.dst
           WHERE d.name = %s AND e.dst_column = 'late_share' AND e.kind = 'direct'""",
        [REPORT],
    )
    return _unless({row["src"] for row in rows}, {"flights.arr_delay"})


@check("a Spark job elsewhere read flights as they stood, and wrote the lake")
def _spark(ledger: PostgresLedger) -> str | None:
    version = observed(ledger, "/".join(LAKE))
    above = _labels(ledger, version, "upstream") if version is not None else set()
    return None if "flights@4" in above else f"found {sorted(above)}"


@check("a crawl knows every table, and search finds the report by a column of it")
def _crawled(ledger: PostgresLedger) -> str | None:
    crawls = ledger.connection.scalar("SELECT count(*) FROM dataml.crawl WHERE state = 'finished'")
    return None if crawls and is_crawled(ledger) else f"{crawls} crawls, and it is not found"


@check("the champion was explained: how late it left says most about how late it arrives")
def _explained(ledger: PostgresLedger) -> str | None:
    body = _review(ledger, "explanation").body
    first, slices = body["features"][0]["feature"], {one["value"] for one in body["slices"]}
    return _unless((first, slices), ("dep_delay", {"EWR", "JFK", "LGA"}))


@check("trained again from its pins, the champion comes out bit by bit as it was")
def _reproduced(ledger: PostgresLedger) -> str | None:
    report = _review(ledger, "reproduction")
    return None if report.verdict == "pass" else f"{report.verdict}: {report.body['summary']}"


@check("its card holds everything a model of its importance needs")
def _card(ledger: PostgresLedger) -> str | None:
    report = _review(ledger, "card")
    return None if report.verdict == "pass" else f"{report.verdict}: {report.body['summary']}"


@check("weather without visibility was refused: scored again without it, the champion would surely be worse")
def _impact(ledger: PostgresLedger) -> str | None:
    report = findings.impact_report(ledger)
    if report is None:
        return "nobody looked at it"
    lost = [one for one in report.body["models"] if one["version"] == f"{MODEL}@2"]
    surely = [(one["verdict"], one["method"], one["growth"]["low"] > 0) for one in lost]
    return _unless((report.verdict, surely), ("fail", [("fail", "replayed", True)]))


@check("both halves of the tuning made twelve trials of one study, and one of the front was trained")
def _tuned(ledger: PostgresLedger) -> str | None:
    body = _review(ledger, "tuning").body
    states = [trial["state"] for trial in body["trials"]]
    trained = _model(ledger, 3).facts["spec"] == body["spec"]
    return _unless((states, body["best"] in body["front"], trained), (["complete"] * 12, True, True))


@check(
    "the champion taught a successor, on pinned hard flights; no better than its teacher, it was not promoted"
)
def _taught(ledger: PostgresLedger) -> str | None:
    version = findings.successor(ledger)
    if version is None:
        return "there is none"
    pins = {name: version.facts["guidance"].get(name) for name in ("warm_start", "teacher", "hard_examples")}
    wanted = {"warm_start": f"{MODEL}@2", "teacher": f"{MODEL}@2", "hard_examples": f"{findings.HARD}@1"}
    missing = set(wanted.values()) - _labels(ledger, version.version_id, "upstream")
    decided = [r for r in ledger.reports.list(asset=MODEL, limit=200) if r.body.get("version") == version.ref]
    actions = {r.body["action"] for r in decided if r.kind == "decision"}
    return _unless(pins, wanted) or _unless((missing, actions), (set(), {"keep"}))


@check("both releases were asked for by one person and approved by two others")
def _approved(ledger: PostgresLedger) -> str | None:
    found = {
        tuple(report.body["facts"]["approved_by"]) + tuple(report.body["requesters"])
        for report in ledger.reports.list(asset=MODEL, limit=200)
        if report.kind == "approval"
    }
    return _unless(found, {("ann", "bob", "admin")})


@check(
    "after going back and forth readers see the newest features, and the champion that was trained on them"
)
def _released(ledger: PostgresLedger) -> str | None:
    moved = [is_released(ledger, way["features"], way["model"]) for way in (BACK, FORTH)]
    return _unless((moved, ledger.versions.find("flight_features").number), ([True, True], 4))


def _review(ledger: PostgresLedger, kind: ReportKind) -> Report:
    found = ledger.reports.latest(asset=MODEL, kind=kind)
    if found is None:
        msg = f"there is no {kind} of {MODEL}"
        raise LookupError(msg)
    return found


def _labels(ledger: PostgresLedger, version_id: int, direction: Direction) -> set[str]:
    graph = ledger.lineage.walk(str(version_node(version_id)), direction=direction)
    return {node.label for node in graph.nodes}


def _unless(found: object, wanted: object) -> str | None:
    return None if found == wanted else f"found {found!r}, expected {wanted!r}"


def _numbers(ledger: PostgresLedger, name: str) -> list[int]:
    return sorted(v.number for v in ledger.versions.list(name))


def _model(ledger: PostgresLedger, number: int) -> Version:
    return ledger.versions.find(f"{MODEL}@{number}")


def _action(ledger: PostgresLedger, month: str) -> str:
    return str(_only(model_reports(ledger, "decision", month), "decision").body["action"])


def _reasonless(decisions: list[Report]) -> str | None:
    without = [r.report_id for r in decisions if not r.body.get("reasons")]
    return f"decisions without reasons: {without}" if without else None


def _only(reports: list[Report], what: str) -> Report:
    if len(reports) != 1:
        msg = f"one {what} was expected, there are {len(reports)}"
        raise LookupError(msg)
    return reports[0]


def _december_incident(ledger: PostgresLedger) -> Incident:
    alarm = _only(model_reports(ledger, "monitor", "2013-12"), "monitor report")
    for incident in ledger.incidents.list():
        if incident.report_id == alarm.report_id:
            return incident
    msg = f"no incident was opened by monitor report {alarm.report_id}"
    raise LookupError(msg)
