"""Contract commands that work on files alone: no connection is looked for."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from airflow_dataml.cli.connection import DSN_VARIABLE
from airflow_dataml.cli.engines import engine_named
from airflow_dataml.cli.junit import junit_xml
from airflow_dataml.cli.main import main
from airflow_dataml.core.contract import Contract
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.quality import CheckResult, QualityReport, Verdict
from airflow_dataml.core.refs import Relation

FLIGHTS = str(Path(__file__).parents[3] / "dags" / "contracts" / "flights.yml")
OLD = "dataset: w/demo/public/rides\ncolumns:\n  - {name: km, checks: [{missing: }]}\n"
NEW = "dataset: w/demo/public/rides\nchecks: [{schema: }]\ncolumns:\n  - {name: km}\n"
SOFT = "dataset: w/demo/public/rides\ncolumns:\n  - {name: km, checks: [{missing: {name: words}}]}\n"


@pytest.fixture(autouse=True)
def no_database(monkeypatch, tmp_path):
    monkeypatch.setenv(DSN_VARIABLE, "postgresql://nobody@127.0.0.1:1/nothing")
    monkeypatch.chdir(tmp_path)
    for name, text in (("old.yml", OLD), ("new.yml", NEW), ("soft.yml", SOFT)):
        Path(name).write_text(text)


@pytest.fixture
def run(capsys):
    def run(*argv):
        code = main(["contract", *argv])
        return code, *capsys.readouterr()

    return run


def test_lint_counts_what_it_read(run):
    code, out, _ = run("test", FLIGHTS, "--lint")
    assert (code, out) == (
        0,
        f"{FLIGHTS} is a contract on warehouse/demo/public/flights: 19 columns, 35 checks.\n",
    )
    assert json.loads(run("test", "old.yml", "--lint", "--json")[1])["checks"] == [
        "columns.km.checks.missing"
    ]


def test_lint_names_file_line_place_and_remedy(run):
    Path("bad.yml").write_text(OLD + "chekcs: []\n")
    code, out, err = run("test", "bad.yml", "--lint")
    assert (code, out) == (1, "")
    assert "contract 'bad.yml' line 4: chekcs" in err
    assert "Did you mean" in err
    assert "cannot be read" in run("test", "nothing.yml", "--lint")[2]


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("old.yml", "new.yml"), 0),
        (("old.yml", "new.yml", "--fail-on", "breaking"), 1),
        (("new.yml", "old.yml", "--fail-on", "breaking", "--side", "both"), 1),
        (("old.yml", "soft.yml", "--fail-on", "breaking"), 0),
        (("old.yml", "soft.yml", "--fail-on", "compatible"), 1),
        (("old.yml", "old.yml", "--fail-on", "compatible"), 0),
    ],
    ids=["told", "breaks", "both sides", "compatible", "strict", "the same"],
)
def test_diff_fails_on_what_it_is_told_to(run, argv, code):
    assert run("diff", *argv)[0] == code


def test_diff_for_people_programs_and_pull_requests(run):
    _, out, _ = run("diff", "old.yml", "new.yml")
    assert out.endswith("\n\nbreaking for consumers, breaking for producers.\n")
    assert json.loads(run("diff", "old.yml", "new.yml", "--json")[1])["changes"][0] == {
        "place": "columns.km.checks.missing", "what": "gone: missing(km) = 0", "consumers": "breaking",
        "producers": "compatible", "why": "readers may meet what they were promised not to",
    }  # fmt: skip
    assert run("diff", "old.yml", "soft.yml", "--markdown")[1] == (
        "**contract 'soft.yml'**: compatible for consumers, compatible for producers.\n\n"
        "| Where | What | Consumers | Producers | Why |\n|---|---|---|---|---|\n"
        "| `columns.km.checks.missing` | other name | compatible | compatible | the same data passes |\n"
    )


def test_export_and_import_make_the_same_contract(run):
    assert run("export", FLIGHTS, "--odcs", "-o", "f.odcs.yaml", "--owner", "ops", "--server", "db:1")[0] == 0
    code, out, err = run("import", "f.odcs.yaml", "-o", "back.yml")
    assert (code, out) == (0, "Wrote back.yml.\n")
    assert err.startswith("dataml: warning: document 'f.odcs.yaml' line ")
    assert "team: has no place in a contract" in err
    assert Contract.from_file("back.yml").digest == Contract.from_file(FLIGHTS).digest


def test_files_are_not_overwritten_unasked(run):
    code, _, err = run("export", "old.yml", "--odcs", "-o", "new.yml")
    assert code == 1
    assert err == "dataml: 'new.yml' is there already; give another -o, or --force to overwrite it.\n"
    assert run("export", "old.yml", "--odcs", "-o", "new.yml", "--force")[0] == 0
    assert "cannot be written" in run("export", "old.yml", "--odcs", "-o", "no/such/place")[2]


def test_without_a_file_it_goes_onto_the_terminal(run):
    _, out, _ = run("export", "old.yml", "--odcs", "--json")
    Path("old.odcs.yaml").write_text(json.loads(out)["text"])
    assert run("import", "old.odcs.yaml")[1].startswith("dataset: w/demo/public/rides\n")
    assert json.loads(run("import", "old.odcs.yaml", "--json")[1])["warnings"] == []


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ("export", "old.yml", "--odcs", "--server", "db:x"),
            "--server: 'x' is no port; write HOST or HOST:PORT",
        ),
        (("import", "nothing.odcs.yaml"), "document 'nothing.odcs.yaml' cannot be read"),
        (("import", "old.yml"), "document 'old.yml' is no document of the Open Data Contract Standard"),
    ],
    ids=["port", "no file", "no document"],
)
def test_mistakes_are_one_line_with_the_remedy(run, argv, message):
    code, out, err = run(*argv)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert message in err


def test_engines_by_name():
    assert engine_named("soda").name == "soda"
    assert engine_named("auto").name in ("native", "soda")
    with pytest.raises(SpecError, match="no quality engine 'sode'; known: auto"):
        engine_named("sode")


def test_junit_tells_each_verdict_apart():
    def found(id_, verdict, name="n"):
        return CheckResult(
            id_, "missing", None, name, verdict, "= 0", 1 if verdict is not Verdict.ERROR else None
        )

    moment = datetime(2013, 1, 1, tzinfo=UTC)
    checks = (found("a", Verdict.PASS), found("b", Verdict.FAIL, "<&\x00"), found("c", Verdict.ERROR),
              found("d", Verdict.WARN), found("e", Verdict.FAIL))  # fmt: skip
    report = QualityReport(
        "soda", "4", "x", Relation("public", "rides"), 3, checks, moment, moment, ("broken",)
    )
    suite = Xml.fromstring(junit_xml(report, contract="rides.yml", skipped=["e"]))  # noqa: S314 - our own text
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "5", "failures": "1", "errors": "2", "skipped": "1",
    }  # fmt: skip
    assert [[child.tag for child in case] for case in suite.iter("testcase")] == [
        [], ["failure"], ["error"], ["system-out"], ["skipped"],
    ]  # fmt: skip
    assert suite[1][0].get("message") == "<&? is 1, expected = 0"
