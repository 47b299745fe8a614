"""The spool: one fsynced file per event, there or not there, whenever a process is killed."""

from __future__ import annotations

import fcntl
import itertools
import json
import logging
import os
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_dataml.core.errors import GateError, LedgerError
from airflow_dataml.core.recorded import Recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

log = logging.getLogger(__name__)
MIN_FREE_BYTES = 64 * 1024 * 1024
DOWN_S = 15.0
_ABANDONED_S = 60.0
_NUMBERS = itertools.count()


class EventSpool:
    """Events of this host on their way to the ledger.

    Written by any process of the host, read by one at a time. A file is complete or absent: it is written
    aside, synced, renamed, and the folder is synced after.

    :param folder: on a disk of this host; made, with its parents, when first written to.
    :param min_free_bytes: below this the disk is left alone: the event is refused, not the machine.
    :param down_s: seconds for which the ledger is not asked after it did not answer.
    """

    def __init__(
        self, folder: Path | str, *, min_free_bytes: int = MIN_FREE_BYTES, down_s: float = DOWN_S
    ) -> None:
        self.folder = Path(folder)
        self._ready = self.folder / "ready"
        self._refused = self.folder / "refused"
        self._down = self.folder / "down"
        self._min_free = min_free_bytes
        self._down_s = down_s

    def __repr__(self) -> str:
        return f"EventSpool({str(self.folder)!r})"

    def put(self, event: Recorded) -> Path:
        """Keep an event until it can go to the ledger; it is on the disk when this returns.

        :raises LedgerError: the disk is full or cannot be written.
        """
        name = f"{time.time_ns():020d}-{os.getpid()}-{next(_NUMBERS)}-{event.event_key[:16]}.json"
        text = json.dumps(event.to_dict(), separators=(",", ":"))
        try:
            self._make_room(len(text))
            return self._write(name, text)
        except OSError as err:
            msg = (
                f"lineage event {event.event_key[:16]} ({event.ordering_key}) is LOST: the ledger did not answer and the "
                f"spool {self.folder} cannot be written: {err}. Free the disk, or set [dataml] spool_dir."
            )
            raise LedgerError(msg) from err

    def waiting(self) -> int:
        """Return how many events wait."""
        return len(self._names())

    def refused(self) -> int:
        """Return how many files the ledger would not take and nobody has looked at."""
        with suppress(FileNotFoundError):
            return sum(1 for _ in os.scandir(self._refused))
        return 0

    def is_empty(self) -> bool:
        """Say whether nothing waits; microseconds."""
        try:
            with os.scandir(self._ready) as entries:
                return next(entries, None) is None
        except FileNotFoundError:
            return True

    def is_down(self) -> bool:
        """Say whether the ledger was asked in vain a moment ago, by any process of this host."""
        try:
            # A clock that was set back may not keep the ledger unasked until it catches up.
            return 0 <= time.time() - self._down.stat().st_mtime < self._down_s
        except OSError:
            return False

    def note_down(self) -> None:
        """Remember for a moment that the ledger does not answer."""
        with suppress(OSError):
            _make(self.folder)
            self._down.touch()
            os.utime(self._down)

    def note_up(self) -> None:
        """Forget it: the ledger answers."""
        self._down.unlink(missing_ok=True)

    def drain(
        self, write: Callable[[Sequence[Recorded]], object], *, limit: int = 500, rounds: int = 1
    ) -> int:
        """Hand over what waits, oldest first, and return how much of it went.

        A file goes away after ``write`` returned, so a process that is killed in between hands it over again;
        ``write`` has to bear that. Another process that drains just now is left to it.

        :param limit: events handed over at once.
        :param rounds: how often at most.
        :param write: raises GateError for events the database cannot hold; alone they are set aside with the reason.
        :raises LedgerError: the ledger did not answer; what was not written stays.
        """
        if self.is_empty() and not self._abandoned():
            return 0
        moved = 0
        with self._alone() as alone:
            if alone:
                self._recover()
            names = self._names() if alone else []
            for start in itertools.islice(range(0, len(names), limit), rounds):
                moved += self._hand_over(names[start : start + limit], write)
        return moved

    def _hand_over(self, names: list[str], write: Callable[[Sequence[Recorded]], object]) -> int:
        events = [(name, event) for name in names if (event := self._read(name))]
        if not events:
            return 0
        try:
            write([event for _, event in events])
        except GateError as err:  # one of them is not what the database takes
            if len(events) == 1:
                self._refuse(events[0][0], str(err))
                return 0
            return sum(self._hand_over([name], write) for name, _ in events)
        for name, _ in events:
            (self._ready / name).unlink(missing_ok=True)
        return len(events)

    def _read(self, name: str) -> Recorded | None:
        try:
            return Recorded.from_dict(json.loads((self._ready / name).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except OSError as err:  # another user's, or a bad block: it holds up no other, and stays
            log.warning("Lineage event in %s cannot be read now: %s", self._ready / name, err)
            return None
        except (ValueError, KeyError, TypeError) as err:
            self._refuse(name, f"it does not read as an event: {err}")
            return None

    def _refuse(self, name: str, why: str) -> None:
        self._refused.mkdir(exist_ok=True, mode=0o700)
        (self._ready / name).rename(self._refused / name)
        log.error("Lineage event in %s was set aside: %s", self._refused / name, why)

    def _recover(self) -> None:
        """Take back what a process wrote and was killed before it could rename."""
        for aside in self._abandoned():
            with suppress(FileNotFoundError):
                try:
                    Recorded.from_dict(json.loads(aside.read_text(encoding="utf-8")))
                except (ValueError, KeyError, TypeError):  # half a file: nobody was told that it is kept
                    aside.unlink()
                else:
                    aside.rename(self._ready / aside.name.removesuffix(".tmp"))

    def _abandoned(self) -> list[Path]:
        found = []
        for aside in self.folder.glob("*.json.tmp"):
            with suppress(FileNotFoundError):
                if time.time() - aside.stat().st_mtime >= _ABANDONED_S:
                    found.append(aside)
        return found

    def _names(self) -> list[str]:
        try:
            return sorted(name for name in os.listdir(self._ready) if name.endswith(".json"))
        except FileNotFoundError:
            return []

    def _make_room(self, size: int) -> None:
        _make(self._ready)
        free = os.statvfs(self.folder)
        if free.f_bavail * free.f_frsize < self._min_free + size:
            msg = f"less than {self._min_free:,} bytes are free"
            raise OSError(msg)

    def _write(self, name: str, text: str) -> Path:
        aside, ready = self.folder / f"{name}.tmp", self._ready / name
        try:
            handle = os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            aside.rename(ready)
        except OSError:
            aside.unlink(missing_ok=True)
            raise
        _sync(self._ready)
        return ready

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Whether no other process drains this spool; let go of by the kernel when a process dies."""
        handle = os.open(self.folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
            else:
                yield True
        finally:
            os.close(handle)


def _make(folder: Path) -> None:
    """Make a folder that is still there after the power was lost, and its parents, for this user alone."""
    if folder.is_dir():
        return
    _make(folder.parent)
    folder.mkdir(exist_ok=True, mode=0o700)
    with suppress(PermissionError):  # a parent of somebody else's may be written to and not be read
        _sync(folder.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
