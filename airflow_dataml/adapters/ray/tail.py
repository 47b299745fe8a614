"""The end of a log that is asked for again and again."""

from __future__ import annotations


class LogTail:
    """Tells what is new in a log, a bounded number of lines at a time.

    :param lines: at most so many, the newest; of the others only the number is told.
    """

    def __init__(self, *, lines: int = 200) -> None:
        self._lines = lines
        self._seen = 0

    def new(self, text: str) -> list[str]:
        """Return the lines that came since the last call; the last one waits until it is whole."""
        whole = text.rfind("\n") + 1
        if whole < self._seen:  # another try of the job began another log
            self._seen = 0
        fresh = text[self._seen : whole].splitlines()
        self._seen = whole
        left_out = len(fresh) - self._lines
        return fresh if left_out <= 0 else [f"({left_out} lines left out)", *fresh[left_out:]]
