"""Column lineage of SQL: what a file reads and writes, without running it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_dataml.cli.spec import Argument, Command, Group, Output
from airflow_dataml.cli.tables import fields, table
from airflow_dataml.core.errors import SpecError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.column_lineage import ColumnSource, QueryLineage


def sql_lineage(ledger: PostgresLedger | None, args: argparse.Namespace) -> Output:
    """Show columns and their sources, statement by statement."""
    text = _text(args.file)
    found = _exact(ledger, text, args) if args.exact else _parsed(ledger, text, args)
    told = [one for one in found if one is not None]
    blocks = [_block(number, one) for number, one in enumerate(told, 1)]
    return Output(
        [one.to_dict() for one in told],
        "\n\n".join(blocks) or "No statement moves rows.",
        warnings=tuple(
            f"statement {number} is told by its tables: {one.reason}"
            for number, one in enumerate(told, 1)
            if one.reason is not None
        ),
    )


def _text(file: str) -> str:
    if file == "-":
        return sys.stdin.read()
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        msg = f"SQL file {file!r} cannot be read ({err}): check the path, or give - for standard input."
        raise SpecError(msg) from err


def _exact(
    ledger: PostgresLedger | None, text: str, args: argparse.Namespace
) -> Sequence[QueryLineage | None]:
    from airflow_dataml.adapters.postgres.analyzer import PostgresAnalyzer
    from airflow_dataml.adapters.postgres.connection import Connection

    if args.dialect != "postgres":
        msg = f"--exact asks PostgreSQL, which does not read {args.dialect!r}: leave one of the two out."
        raise SpecError(msg)
    if args.dsn_env is None:
        if ledger is None:
            msg = "--exact needs a database: give --dsn-env, or a ledger."
            raise SpecError(msg)
        return PostgresAnalyzer(ledger.connection).analyze(text, default_schema=args.default_schema)
    if not (dsn := os.environ.get(args.dsn_env)):
        msg = f"environment variable {args.dsn_env!r} is not set: it holds the database's connection string."
        raise SpecError(msg)
    with Connection(dsn) as connection:
        return PostgresAnalyzer(connection).analyze(text, default_schema=args.default_schema)


def _parsed(
    ledger: PostgresLedger | None, text: str, args: argparse.Namespace
) -> Sequence[QueryLineage | None]:
    from airflow_dataml.adapters.postgres.column_schemas import schemas_of
    from airflow_dataml.adapters.sqlglot import SqlglotParser

    schemas = schemas_of(ledger.connection) if ledger is not None else {}
    return SqlglotParser(limit_s=30).parse(
        text, dialect=args.dialect, schemas=schemas, default_schema=args.default_schema
    )


def _needs_ledger(args: argparse.Namespace) -> bool:
    return bool(args.dsn_env is None if args.exact else args.schema_from_ledger)


def _block(number: int, one: QueryLineage) -> str:
    head = fields(
        [
            ("statement", f"{number}: {one.statement}"),
            ("writes", one.target),
            ("reads", ", ".join(one.inputs)),
            ("decided by", ", ".join(map(_name, one.indirect))),
            ("known from", f"{one.method}, confidence {one.confidence:g}"),
        ]
    )
    if not one.outputs:
        return head
    rows = [[name, ", ".join(map(_name, sources)) or None] for name, sources in one.outputs]
    return f"{head}\n\n{table(('column', 'made from'), rows)}"


def _name(source: ColumnSource) -> str:
    name = f"{source.relation}.{source.column}"
    return name if source.via == "value" else f"{name} ({source.via})"


_LINEAGE = Command(
    "lineage",
    "Show which columns the statements of a SQL file read and write; nothing is run",
    sql_lineage,
    (
        Argument(("file",), {"metavar": "FILE", "help": "SQL file, or - for standard input"}),
        Argument(
            ("--dialect",),
            {"default": "postgres", "metavar": "NAME", "help": "Whose SQL it is (postgres unless given)"},
        ),
        Argument(("--default-schema",), {"metavar": "NAME", "help": "Where a bare table name is"}),
        Argument(
            ("--schema-from-ledger",),
            {"action": "store_true", "help": "Resolve columns with the schemas of the catalog"},
        ),
        Argument(
            ("--exact",),
            {"action": "store_true", "help": "Ask PostgreSQL for its own analysis; it must have the tables"},
        ),
        Argument(
            ("--dsn-env",),
            {
                "metavar": "VARIABLE",
                "help": "With --exact: environment variable with the database's DSN (the ledger's unless given)",
            },
        ),
    ),
    needs_ledger=_needs_ledger,
)

SQL = Group("sql", "Read SQL without running it", (_LINEAGE,))
