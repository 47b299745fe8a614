"""``dataml model log-predictions``: predictions made elsewhere, from a file into their dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataml.cli.identity import cli_identity
from airflow_dataml.cli.spec import Argument, Command, Output
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.prediction_log import MOST_PREDICTIONS, read_predictions

if TYPE_CHECKING:
    import argparse

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger


def log_file(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """Take a file of predictions in batches; a file that was taken in part may be given again."""
    from airflow_dataml.steps.prediction_log import log_predictions

    given = _read(Path(args.file))
    batches = [given[at : at + MOST_PREDICTIONS] for at in range(0, len(given), MOST_PREDICTIONS)]
    # Every line, before the first is written.
    for batch in batches:
        read_predictions(batch)
    found = [
        log_predictions(
            ledger=ledger,
            warehouse=ledger.warehouse,
            store=ledger.store,
            identity=cli_identity("model-log-predictions"),
            model=args.name,
            given=batch,
            dataset=args.dataset,
            location=args.view,
        )
        for batch in batches
    ]
    stored, known = sum(one.stored for one in found), sum(one.known for one in found)
    last = found[-1]
    text = f"{stored:,} predictions of {args.name} stored, {known:,} were known; {last.dataset} is at {last.version}."
    return Output({"dataset": last.dataset, "version": last.version, "stored": stored, "known": known}, text)


def _read(path: Path) -> list[Any]:
    """One JSON object a line, or one list of them."""
    try:
        text = path.read_text(encoding="utf-8")
        found = (
            json.loads(text)
            if text.lstrip().startswith("[")
            else [json.loads(line) for line in text.splitlines() if line.strip()]
        )
    except (OSError, ValueError) as err:
        msg = f"{str(path)!r} cannot be read as JSON, one prediction a line or a list of them: {err}"
        raise SpecError(msg) from err
    if not found:
        msg = f"{str(path)!r} has no prediction."
        raise SpecError(msg)
    return list(found)


COMMANDS = (
    Command(
        "log-predictions",
        "Take predictions made elsewhere into their dataset, each id once",
        log_file,
        (
            Argument(("name",), {"metavar": "MODEL", "help": "The model that predicted"}),
            Argument(("file",), {"metavar": "FILE", "help": "JSON: one prediction a line, or a list of them"}),
            Argument(("--dataset",), {"metavar": "NAME", "help": "Where they go; MODEL_online unless given"}),
            Argument(("--view",), {"metavar": "SCHEMA.TABLE", "help": "What readers name; public.DATASET unless given"}),
        ),
    ),
)  # fmt: skip
