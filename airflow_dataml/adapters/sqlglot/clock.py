"""The end of patience: no statement is read for longer than it was given."""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlglot.dialects.dialect import Dialect

if TYPE_CHECKING:
    from sqlglot.parser import Parser

_TICKS = 128


class OutOfTime(Exception):
    """The statement takes longer to read than it is worth."""


class Clock:
    """Counts steps and looks at the time now and then.

    :param limit_s: seconds from now.
    """

    __slots__ = ("_end", "_left")

    def __init__(self, limit_s: float) -> None:
        self._end = time.monotonic() + limit_s
        self._left = _TICKS

    def tick(self, steps: int = 1) -> None:
        """Count some steps.

        :raises OutOfTime: the time is up.
        """
        self._left -= steps
        if self._left <= 0:
            self._left = _TICKS
            if time.monotonic() > self._end:
                raise OutOfTime


def bounded_parser(dialect: str, clock: Clock) -> Parser:
    """Return a parser of a dialect that looks at the clock with every token it takes or gives back."""
    instance = Dialect.get_or_raise(dialect or None)
    parser: Parser = _parser_class(instance.parser_class)(dialect=instance)
    parser.clock = clock  # type: ignore[attr-defined]  # of the class made below
    return parser


@cache
def _parser_class(base: Any) -> Any:
    class BoundedParser(base):  # type: ignore[misc]  # the base is the dialect's own
        """A dialect's parser whose tries end."""

        clock: Clock

        def _advance(self, times: int = 1) -> None:
            self.clock.tick()
            super()._advance(times)

        def _warn_unsupported(self) -> None:
            """What is not understood is told by its tables; a line per statement would fill the log."""

    return BoundedParser
