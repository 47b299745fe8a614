"""Commands as values: one tree, from which both ``dataml`` and ``airflow dataml`` are built."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


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
    :param code: exit code; 1 says that what was looked at is not as it should be.
    :param warnings: lines for standard error, where people read; programs find them in ``data``.
    """

    data: Any
    text: str
    code: int = OK
    warnings: tuple[str, ...] = ()


def positive(text: str) -> int:
    """Return a number above zero, or make argparse refuse it."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def always(_: argparse.Namespace) -> bool:
    """Whatever the arguments, the command reads the ledger."""
    return True


def never(_: argparse.Namespace) -> bool:
    """The command works on files alone."""
    return False


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    :param run: reads the ledger and says what it found; it neither prints nor catches. What does not need the
        ledger is handed ``None``.
    :param check: refuse a ledger this code does not fit before running.
    :param needs_ledger: whether the ledger is opened for these arguments; without it no database is needed.
    """

    name: str
    help: str
    run: Callable[[Any, argparse.Namespace], Output]
    arguments: tuple[Argument, ...] = ()
    check: bool = True
    needs_ledger: Callable[[argparse.Namespace], bool] = always


@dataclass(frozen=True, slots=True)
class Group:
    """Commands under one name."""

    name: str
    help: str
    commands: tuple[Command | Group, ...]
