"""``airflow dataml ...``: the same commands inside Airflow's own command line."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any

from airflow_dataml.cli.commands import COMMANDS, COMMON
from airflow_dataml.cli.execute import execute
from airflow_dataml.cli.spec import Command

if TYPE_CHECKING:
    import argparse

    from airflow.cli.cli_config import ActionCommand, GroupCommand

    from airflow_dataml.cli.spec import Group


def get_commands() -> list[GroupCommand]:
    """Return our commands as Airflow's; called at every start of the ``airflow`` command."""
    from airflow.cli.cli_config import GroupCommand

    return [
        GroupCommand(
            name="dataml",
            help="Read and look after the DataML ledger",
            subcommands=tuple(_convert(node) for node in COMMANDS),
        )
    ]


def _convert(node: Command | Group) -> ActionCommand | GroupCommand:
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

    if not isinstance(node, Command):
        return GroupCommand(name=node.name, help=node.help, subcommands=tuple(map(_convert, node.commands)))
    arguments: Any = (*node.arguments, *COMMON)
    return ActionCommand(
        name=node.name,
        help=node.help,
        func=functools.partial(_run, node),
        args=tuple(Arg(flags=argument.flags, **argument.options) for argument in arguments),
    )


def _run(command: Command, args: argparse.Namespace) -> None:
    if code := execute(command, args):
        sys.exit(code)
