"""One tree of commands, two command lines."""

from __future__ import annotations

import argparse

import pytest

from airflow_dataml.cli.airflow_commands import get_commands
from airflow_dataml.cli.commands import COMMANDS, COMMON
from airflow_dataml.cli.main import build_parser, main
from airflow_dataml.cli.spec import Command

NAMES = [
    "approvals", "audit verify", "blame", "branch create", "branch diff", "branch drop", "branch list", "branch merge",
    "branch show", "catalog crawl", "catalog delete", "catalog describe", "catalog export", "catalog merge", "catalog register",
    "catalog restore", "catalog search", "catalog show", "catalog tag", "contract diff", "contract export", "contract import", "contract init", "contract test",
    "dataset adopt", "dataset compact", "dataset diff", "dataset list", "dataset read", "dataset release",
    "dataset rollback", "dataset show", "dataset size", "dataset versions", "delivery backends",
    "delivery dead", "delivery pause", "delivery purge", "delivery replay", "delivery resume", "delta adopt", "delta changes",
    "delta constrain", "delta discard", "delta history", "delta vacuum",
    "drain", "gc", "impact", "incident list", "incident resolve",
    "lineage", "migrate", "model adopt", "model alarms", "model card", "model counting", "model estimate", "model explain", "model list", "model log-predictions", "model manifest", "model reconcile", "model report-window", "model rollback", "model show", "model trials", "model versions", "quarantine discard",
    "quarantine list", "quarantine rows", "quarantine show", "reach", "release", "report", "reproduce", "sql lineage", "status",
]  # fmt: skip


def _leaves(nodes, prefix=""):
    for node in nodes:
        children = getattr(node, "commands", None) or getattr(node, "subcommands", None)
        if children:
            yield from _leaves(children, f"{prefix}{node.name} ")
        else:
            yield prefix + node.name, node


def test_every_command_is_listed():
    assert sorted(name for name, _ in _leaves(COMMANDS)) == NAMES


def test_airflow_has_the_same_commands_with_the_same_arguments():
    ours = {name: [a.flags for a in (*node.arguments, *COMMON)] for name, node in _leaves(COMMANDS)}
    (group,) = get_commands()
    theirs = {name: [a.flags for a in node.args] for name, node in _leaves(group.subcommands)}
    assert group.name == "dataml"
    assert theirs == ours


def test_airflow_parses_them():
    from airflow.cli.cli_parser import _add_command

    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers()
    for group in get_commands():
        _add_command(subparsers, group)
    args = parser.parse_args(
        ["dataml", "dataset", "versions", "rides", "--before", "3", "--json", "--conn-id", "x"]
    )
    assert (args.name, args.before, args.json, args.conn_id) == ("rides", 3, True, "x")
    assert callable(args.func)


@pytest.mark.parametrize("name", NAMES, ids=str)
def test_help_of_every_command(name, capsys):
    with pytest.raises(SystemExit) as caught:
        build_parser().parse_args([*name.split(), "--help"])
    assert caught.value.code == 0
    assert "--json" in capsys.readouterr().out


@pytest.mark.parametrize(
    "argv", [[], ["dataset"], ["dataset", "show"], ["report", "x", "--kind", "nonsense"], ["lineage", "x", "--depth", "0"]],
    ids=["nothing", "group alone", "no name", "unknown kind", "no depth"],
)  # fmt: skip
def test_usage_is_exit_code_2(argv, capsys):
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    assert "usage: dataml" in capsys.readouterr().err


def test_commands_carry_their_function():
    assert all(isinstance(node, Command) and callable(node.run) for _, node in _leaves(COMMANDS))
