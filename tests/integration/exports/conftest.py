"""A filled ledger, and other people's validators."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from airflow_dataml.cli.connection import DSN_VARIABLE
from airflow_dataml.cli.main import main
from dev.validators import interpreter
from tests.integration.exports.shop import SECRET, fill

SHAPES = [str(Path(__file__).parents[2] / "data/dcat" / name) for name in ("shapes.ttl", "range.ttl")]


@pytest.fixture
def shop_dsn(postgres_dsn, monkeypatch):
    """A filled ledger, to which operators and command line lead."""
    fill(postgres_dsn)
    info = conninfo_to_dict(postgres_dsn)
    said = {
        "conn_type": "dataml",
        "host": str(info["host"]),
        "login": str(info["user"]),
        "schema": str(info["dbname"]),
    }
    monkeypatch.setenv("AIRFLOW_CONN_DATAML_DEFAULT", json.dumps(said | {"password": SECRET}))
    monkeypatch.setenv(DSN_VARIABLE, postgres_dsn)
    return postgres_dsn


@pytest.fixture
def dataml(shop_dsn, capsys):
    """Runs ``dataml`` in this process."""

    def run(*argv):
        code = main(argv)
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture(scope="session")
def validate():
    """Ask a validator about a folder; it fails, and does not skip, where there are no validators."""
    python = interpreter()

    def ask(format, folder):
        script = Path(__file__).parent / "validate.py"
        command = [str(python), "-W", "ignore", str(script), format, str(folder)]
        done = subprocess.run(  # noqa: S603 - our script in the validators' environment
            [*command, *(SHAPES if format == "dcat" else ())],
            capture_output=True, text=True, check=False, timeout=240, cwd=folder,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])

    return ask
