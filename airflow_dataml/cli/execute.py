"""One command from arguments to exit code: open, run, print, or say what is wrong."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

from airflow_dataml.cli.connection import resolve_dsn
from airflow_dataml.cli.spec import FAILED
from airflow_dataml.cli.tables import plain
from airflow_dataml.core.errors import DataMLError

if TYPE_CHECKING:
    import argparse

    from airflow_dataml.cli.spec import Command, Output


def execute(command: Command, args: argparse.Namespace) -> int:
    """Run a command on the ledger its arguments name, if it needs one, and return the exit code.

    What is wrong is one line on standard error; a traceback would mean a mistake of ours.
    """
    try:
        output = _run(command, args)
        _print(output, as_json=args.json)
    except DataMLError as err:
        sys.stderr.write(f"dataml: {err}\n")
        return FAILED
    except BrokenPipeError:
        # The reader, such as ``head``, has gone; the interpreter must not complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return output.code


def _run(command: Command, args: argparse.Namespace) -> Output:
    if not command.needs_ledger(args):
        return command.run(None, args)
    from airflow_dataml.adapters.postgres.ledger import PostgresLedger

    with PostgresLedger.connect(resolve_dsn(args.conn_id), check=command.check) as ledger:
        return command.run(ledger, args)


def _print(output: Output, *, as_json: bool) -> None:
    if output.warnings and not as_json:
        sys.stderr.write("".join(f"dataml: warning: {line}\n" for line in output.warnings))
    text = json.dumps(output.data, indent=2, default=plain) if as_json else output.text
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
