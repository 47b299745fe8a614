"""``dataml dataset diff`` and ``rollback`` on a real ledger."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.adapters.postgres.migrate import migrate
from airflow_dataml.adapters.postgres.reading_datasets import DatasetReading
from airflow_dataml.cli.connection import DSN_VARIABLE
from airflow_dataml.cli.main import main
from airflow_dataml.core.layout import Layout
from tests.integration.steps.rides import Rides

pytestmark = pytest.mark.integration
KEYED = Layout(keys=("id",))


@dataclass(frozen=True)
class Terminal:
    """Runs ``dataml dataset`` in this process and keeps what it wrote."""

    capture: pytest.CaptureFixture[str]

    def __call__(self, *argv):
        code = main(["dataset", *argv])
        out, err = self.capture.readouterr()
        return code, out, err


@pytest.fixture
def dataml(postgres_dsn, capsys, monkeypatch):
    with Connection(postgres_dsn) as connection:
        migrate(connection)
    with PostgresLedger.connect(postgres_dsn) as ledger:
        rides = Rides(ledger, layout=KEYED)
        ledger.assets.set_location("rides", KEYED.to_location())
        rides.write([(1, "bike", 1.0), (2, "bus", 2.0)])
        rides.write([(2, "tram", 2.0), (3, "car", 3.0)], mode="merge", keys=["id"])
        rides.write([(1, "bike", 1.0), (2, "bus", 2.0)], mode="replace")
    monkeypatch.setenv(DSN_VARIABLE, postgres_dsn)
    return Terminal(capsys)


def test_a_diff_in_words(dataml):
    code, out, err = dataml("diff", "rides@1", "rides@2")
    assert (code, err) == (0, "")
    for words in (
        "1 inserted, 1 updated, 0 deleted",
        "rows matched by id",
        "~ id=2: kind bus -> tram",
        "+ id=3, kind=car",
    ):
        assert words in out


def test_as_json_and_markdown(dataml):
    _, out, _ = dataml("diff", "rides@1", "rides@2", "--json")
    assert json.loads(out)["rows"]["updated"] == 1
    _, out, _ = dataml("diff", "rides@1", "rides@2", "--markdown", "--samples", "0")
    assert out.startswith("### rides")
    assert "Sample rows" not in out


def test_a_kept_diff_is_there_for_the_page(dataml, postgres_dsn):
    code, out, _ = dataml("diff", "rides@1", "rides@2", "--keep", "--mask", "kind")
    assert (code, "Kept as report" in out) == (0, True)
    with PostgresLedger.connect(postgres_dsn) as ledger:
        stored = DatasetReading(ledger.connection).stored_diff("rides", "rides@1", "rides@2")
        assert ledger.reports.get(stored["report_id"]).verdict == "pass"
    assert (stored["body"]["rows"]["updated"], stored["body"]["masked"]) == (1, ["kind"])
    assert "tram" not in json.dumps(stored["body"])


@pytest.mark.parametrize(
    ("new", "code"), [("rides@2", 1), ("rides@3", 0)], ids=["other content", "equal content"]
)
def test_exit_code_says_whether_anything_differs(dataml, new, code):
    assert dataml("diff", "rides@1", new, "--exit-code")[0] == code


def test_keys_masks_and_no_keys(dataml):
    _, out, _ = dataml("diff", "rides@1", "rides@2", "--key", "km", "--mask", "kind")
    assert "rows matched by km" in out
    assert "tram" not in out
    _, out, _ = dataml("diff", "rides@1", "rides@2", "--no-key")
    assert "2 inserted, 0 updated, 1 deleted" in out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["diff", "rides@1", "rides@2", "--mask", "kindd"], "Did you mean 'kind'"),
        (["diff", "rides@1", "rides@9"], "rides@9"),
        (["rollback", "rides", "--to", "9", "--reason", "x"], "rides@9"),
        (["rollback", "rides", "--to", "1", "--reason", " "], "needs a reason"),
        (["rollback", "ridez", "--to", "1", "--reason", "x"], "Did you mean 'rides'"),
    ],
    ids=["mask", "version", "target", "reason", "name"],
)
def test_what_is_wrong_is_one_line(dataml, argv, message):
    code, out, err = dataml(*argv)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert message in err


def test_rollback_and_what_it_left_behind(dataml, postgres_dsn):
    assert dataml("rollback", "rides", "--to", "previous", "--reason", "wrong kinds")[:2] == (
        0,
        "Rolled rides back from rides@3 to rides@2.\n",
    )
    assert "see already" in dataml("rollback", "rides", "--to", "2", "--reason", "again")[1]
    assert dataml("rollback", "rides", "--to", "previous", "--reason", "worse")[1].endswith("to rides@1.\n")
    with PostgresLedger.connect(postgres_dsn) as ledger:
        actors = [
            row["actor"]
            for row in ledger.connection.rows("SELECT actor FROM dataml.audit WHERE action = 'roll back'")
        ]
    assert len(set(actors)) == 2
    assert all(actor.startswith("task:dataml-cli/") for actor in actors)
