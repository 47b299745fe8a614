"""Rows found on the command line wherever they went."""

from __future__ import annotations

import pytest

from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.cli.connection import DSN_VARIABLE
from tests.integration.cli.conftest import Terminal
from tests.integration.steps.test_models import GOOD, Deployment

pytestmark = pytest.mark.integration


@pytest.fixture
def lived(ledger_dsn, capsys, monkeypatch, tmp_path):
    """A terminal; a champion learnt from rides of January and February."""
    monkeypatch.setenv(DSN_VARIABLE, ledger_dsn)
    with PostgresLedger.connect(ledger_dsn) as ledger:
        Deployment(ledger, tmp_path, GOOD).first_champion()
    return Terminal(capsys)


def test_a_row_is_followed_to_the_model_that_learnt_from_it(lived):
    code, out, _ = lived("reach", "rides", "id=10001")
    assert code == 1
    assert out.startswith("1 row of rides reached 1 dataset, 1 model; 1 model in use.")
    assert "learnt from 1 of them" in out
    assert "champion" in out
    assert lived("reach", "rides", "id=1")[:2] == (0, "Nothing holds 1 row of rides.\n")


def test_many_rows_in_a_file_and_what_was_decided(lived, tmp_path):
    keys = tmp_path / "keys.csv"
    keys.write_text("id\n10001\n10002\n1\n")
    code, found = lived.json(
        "reach", "rides", "--keys", str(keys), "--waive", "kept by law", "--request", "T-7"
    )
    assert (code, found["searched"], [one["rows"] for one in found["found"]]) == (1, 3, [2, 2])
    [kept] = lived.json("report", "rides", "--kind", "reach")[1]
    assert (kept["report_id"], kept["body"]["request"]) == (found["report"], "T-7")
    decided = lived.json("report", "ride_late@champion", "--kind", "decision")[1]
    assert [one["body"]["action"] for one in decided] == ["waive", "promote"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["10001"], "write column=value for each"),
        ([], "no row was named"),
        (["id=1", "--keys", "nowhere.csv"], "not both"),
        (["--keys", "nowhere.csv"], "cannot be read (No such file or directory)"),
        (["id=1", "--retrain", "a", "--waive", "b"], "exclude each other"),
        (["id=10001", "--waive", " "], "needs words"),
    ],
    ids=["no column", "nothing", "both", "no file", "two decisions", "no words"],
)
def test_what_is_not_understood_is_refused(lived, asked, words):
    code, out, err = lived("reach", "rides", *asked)
    assert (code, out) == (1, "")
    assert words in err
