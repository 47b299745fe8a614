"""Commands as values: one tree, from which both ``dataml`` and ``airflow dataml`` are built."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger


OK, FAILED = 0, 1


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument, as ``ArgumentParser.add_argument`` takes it."""

    flags: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Output:
    """What a command found.

    :param data: plain JSON, printed with ``--json``.
    :param text: the same for people.
    :param code: exit code; 1 says that something is wrong with the ledger.
    """

    data: Any
    text: str
    code: int = OK


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    :param run: reads the ledger and says what it found; it neither prints nor catches.
    :param check: refuse a ledger this code does not fit before running.
    """

    name: str
    help: str
    run: Callable[[PostgresLedger, argparse.Namespace], Output]
    arguments: tuple[Argument, ...] = ()
    check: bool = True


@dataclass(frozen=True, slots=True)
class Group:
    """Commands under one name."""

    name: str
    help: str
    commands: tuple[Command | Group, ...]
