"""The commands under ``dataml contract``."""

from __future__ import annotations

from airflow_dataml.cli import contracts, trials
from airflow_dataml.cli.engines import ENGINES
from airflow_dataml.cli.spec import Argument, Command, Group, never, positive

_FILE = Argument(("file",), {"metavar": "FILE", "help": "The contract"})
_OUTPUT = Argument(("-o", "--output"), {"metavar": "FILE", "help": "Write here instead of onto the terminal"})
_FORCE = Argument(("--force",), {"action": "store_true", "help": "Overwrite the file"})

_INIT = Command(
    "init",
    "Draft a first contract from the columns and the profile of a version",
    contracts.init,
    (
        Argument(
            ("ref",),
            {"metavar": "ASSET[@N]", "help": "The dataset, with the version wanted; else the current one"},
        ),
        Argument(
            ("--key",),
            {
                "action": "append",
                "metavar": "COLUMN",
                "help": "A column that, with the others given, names a row",
            },
        ),
        _OUTPUT,
        _FORCE,
    ),
)
_TEST = Command(
    "test",
    "Run a contract on a table, a version or a sample of it; exit 1 when it does not hold",
    trials.try_contract,
    (
        _FILE,
        Argument(("--lint",), {"action": "store_true", "help": "Only read the file; needs no database"}),
        Argument(
            ("--table",), {"metavar": "SCHEMA.TABLE", "help": "What to read; else what the contract names"}
        ),
        Argument(
            ("--asset",), {"metavar": "ASSET[@N]", "help": "Read a version of a managed dataset instead"}
        ),
        Argument(
            ("--rows",),
            {
                "type": positive,
                "metavar": "N",
                "help": "Draw a sample of N rows; row counts and sums are not judged on it",
            },
        ),
        Argument(("--engine",), {"choices": ENGINES, "default": "auto", "help": "What runs the checks"}),
        Argument(
            ("--var",),
            {"action": "append", "metavar": "NAME=VALUE", "help": "Value of one of the contract's variables"},
        ),
        Argument(
            ("--timeout",),
            {"type": positive, "default": 600, "metavar": "SECONDS", "help": "For all checks together"},
        ),
        Argument(("--junit",), {"metavar": "FILE", "help": "Also write the result as JUnit XML"}),
    ),
    needs_ledger=trials.needs_database,
)
_DIFF = Command(
    "diff",
    "Say what changed between two contracts, and who may break on it",
    contracts.diff,
    (
        Argument(("old",), {"metavar": "OLD", "help": "The contract as it was"}),
        Argument(("new",), {"metavar": "NEW", "help": "The contract as it will be"}),
        Argument(
            ("--fail-on",),
            {
                "choices": ("breaking", "compatible"),
                "help": "Exit 1 when a change is of this class, or worse",
            },
        ),
        Argument(
            ("--side",),
            {
                "choices": ("consumers", "producers", "both"),
                "default": "consumers",
                "help": "Whose changes --fail-on looks at (consumers unless given)",
            },
        ),
        Argument(("--markdown",), {"action": "store_true", "help": "Print a table for a pull request"}),
    ),
    needs_ledger=never,
)
_EXPORT = Command(
    "export",
    "Write a contract as a document of the Open Data Contract Standard",
    contracts.export,
    (
        _FILE,
        Argument(("--odcs",), {"action": "store_true", "required": True, "help": "As ODCS v3 YAML"}),
        _OUTPUT,
        _FORCE,
        Argument(("--owner",), {"metavar": "NAME", "help": "Who answers for the dataset"}),
        Argument(("--server",), {"metavar": "HOST[:PORT]", "help": "The PostgreSQL server it is on"}),
        Argument(
            ("--contract-version",),
            {
                "default": "1.0.0",
                "metavar": "VERSION",
                "help": "Version of the document (1.0.0 unless given)",
            },
        ),
    ),
    needs_ledger=never,
)
_IMPORT = Command(
    "import",
    "Read a document of the Open Data Contract Standard as a contract; what it has no place for is told",
    contracts.import_,
    (
        Argument(("file",), {"metavar": "FILE", "help": "The ODCS document, v3"}),
        _OUTPUT,
        _FORCE,
        Argument(("--schema",), {"metavar": "NAME", "help": "The table to read, where there are several"}),
        Argument(("--server",), {"metavar": "NAME", "help": "The server it is on; the first unless given"}),
    ),
    needs_ledger=never,
)

CONTRACT = Group(
    "contract", "Draft, test, compare and carry contracts", (_INIT, _TEST, _DIFF, _EXPORT, _IMPORT)
)
