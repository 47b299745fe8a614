"""What the demo says, with the time since it began."""

from __future__ import annotations

import time


class Console:
    """Lines on standard output, each with minutes and seconds since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._last = self._start

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start

    @property
    def silence(self) -> float:
        """Seconds since the last line."""
        return time.monotonic() - self._last

    def say(self, text: str = "") -> None:
        """Print; a stopped reader never stops the demo."""
        minutes, seconds = divmod(int(self.elapsed), 60)
        for line in text.splitlines() or [""]:
            print(f"[{minutes:02d}:{seconds:02d}] {line}".rstrip(), flush=True)
        self._last = time.monotonic()

    def title(self, text: str) -> None:
        """Print a heading."""
        self.say()
        self.say(text)
        self.say("-" * min(len(text), 100))
