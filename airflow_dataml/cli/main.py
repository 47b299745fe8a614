"""The ``dataml`` console script."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from airflow_dataml.cli.commands import COMMANDS, COMMON
from airflow_dataml.cli.execute import execute
from airflow_dataml.cli.spec import Command

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_dataml.cli.spec import Group

    # argparse names this class privately and gives no other way to annotate it.
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole tree."""
    parser = argparse.ArgumentParser(prog="dataml", description="Read and look after the DataML ledger.")
    _add(parser.add_subparsers(metavar="COMMAND", required=True), COMMANDS)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0 done, 1 refused or broken, 2 not understood."""
    args = build_parser().parse_args(argv)
    return execute(args.command, args)


def _add(subparsers: Subparsers, nodes: Iterable[Command | Group]) -> None:
    for node in nodes:
        parser = subparsers.add_parser(node.name, help=node.help, description=node.help)
        if isinstance(node, Command):
            for argument in (*node.arguments, *COMMON):
                parser.add_argument(*argument.flags, **argument.options)
            parser.set_defaults(command=node)
        else:
            _add(parser.add_subparsers(metavar="COMMAND", required=True), node.commands)


if __name__ == "__main__":
    sys.exit(main())
