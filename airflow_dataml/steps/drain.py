"""Draining: from the spool into the ledger, from there into the graph and to every backend."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

from airflow_dataml.core.delivery import pause_s
from airflow_dataml.core.drained import Drained
from airflow_dataml.core.errors import BackendError
from airflow_dataml.steps.sending import send_in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from airflow_dataml.core.delivery import DeliveryQueue, LineageBackend, Tally
    from airflow_dataml.core.recorded import Recorded

log = logging.getLogger(__name__)
BATCH = 100
_LONGEST_REST_S = 30.0


class EventStore(Protocol):
    """Takes lineage events."""

    def add(self, events: Sequence[Recorded]) -> int:
        """Keep events, each once."""
        ...


class DrainLedger(Protocol):
    """What of the ledger a drainer works on."""

    @property
    def events(self) -> EventStore:
        """The events."""
        ...

    @property
    def delivery(self) -> DeliveryQueue:
        """Which backend lacks which."""
        ...


class Spool(Protocol):
    """Where events wait while the ledger does not answer."""

    def drain(
        self, write: Callable[[Sequence[Recorded]], object], *, limit: int = 500, rounds: int = 1
    ) -> int:
        """Hand over what waits."""
        ...


class Drainer:
    """Carries events on, each backend in its own time; several drainers work together.

    :param open_ledger: opens the ledger; called once for what comes before delivery and once per backend.
    :param backends: where events go; none is fine, then only spool and graph are looked after.
    :param spool: this host's spool, where there is one.
    :param project: brings new events into the graph and returns how many; called again while it returns more
        than none, and after the backends have their share: what it cannot read holds up no delivery.
    :param batch: events claimed at once; a drainer that is killed sends at most these a second time.
    """

    def __init__(
        self,
        *,
        open_ledger: Callable[[], AbstractContextManager[Any]],
        backends: Sequence[LineageBackend] = (),
        spool: Spool | None = None,
        project: Callable[[Any], int] | None = None,
        batch: int = BATCH,
    ) -> None:
        self._open = open_ledger
        self._backends = tuple(backends)
        self._spool = spool
        self._project = project
        self._batch = batch
        self._lock = threading.Lock()
        self._sum = Drained()
        self._unread = False

    def round(self) -> Drained:
        """Carry on what is due now, once, and say what was done; as long as the slowest backend takes.

        :raises BackendError: the ledger does not answer.
        """
        return self._round(threading.Event())

    def until_empty(
        self, *, seconds: float, pause: float = 1.0, stop: threading.Event | None = None
    ) -> Drained:
        """Carry on round after round until one moves nothing, or it is time, and say what was done.

        :param stop: ends it before, within a batch.
        """
        deadline, stop = time.monotonic() + seconds, stop or threading.Event()
        done = Drained()
        while (latest := self._round(stop)).moved and time.monotonic() + pause < deadline:
            done = done.plus(latest)
            if stop.wait(pause):
                return done
        return done.plus(latest)

    def run(
        self,
        stop: threading.Event,
        *,
        pause: float = 1.0,
        on_news: Callable[[Drained], None] | None = None,
    ) -> None:
        """Drain until told to stop; no backend waits for another, and a silent ledger is asked again.

        :param pause: seconds between two looks where nothing was to do.
        :param on_news: told what was done since, after each look; called from this thread alone.
        :raises DataMLError: something that asking again will not mend.
        """
        wake = {id(backend): threading.Event() for backend in self._backends}
        with ThreadPoolExecutor(max(len(self._backends), 1), thread_name_prefix="dataml-drain") as pool:
            servers = [
                pool.submit(self._serve, backend, stop, wake[id(backend)], pause)
                for backend in self._backends
            ]
            failures = 0
            try:
                while not stop.is_set() and not any(server.done() for server in servers):
                    try:
                        with self._open() as ledger:
                            failures = 0
                            self._look_after(ledger, stop, servers, wake.values(), pause, on_news)
                    except BackendError as err:
                        failures = _rest(stop, failures, err)
            finally:
                stop.set()
                for event in wake.values():
                    event.set()
        for server in servers:
            server.result()

    def close(self) -> None:
        """Close the backends."""
        for backend in self._backends:
            backend.close()

    def take(self) -> Drained:
        """Return what was done since this was called last."""
        with self._lock:
            done, self._sum = self._sum, Drained()
        return done

    def _look_after(
        self,
        ledger: DrainLedger,
        stop: threading.Event,
        servers: Sequence[Any],
        wake: Any,
        pause: float,
        on_news: Any,
    ) -> None:
        while not stop.is_set() and not any(server.done() for server in servers):
            if self._prepare(ledger, stop):
                for event in wake:
                    event.set()
            self._into_graph(ledger, stop)
            if on_news is not None:
                on_news(self.take())
            stop.wait(pause)

    def _round(self, stop: threading.Event) -> Drained:
        with self._open() as ledger:
            self._prepare(ledger, stop)
        if self._backends:
            with ThreadPoolExecutor(len(self._backends), thread_name_prefix="dataml-drain") as pool:
                # Reading the results raises what a thread raised.
                list(pool.map(lambda backend: self._empty(backend, stop), self._backends))
        with self._open() as ledger:
            self._into_graph(ledger, stop)
        return self.take()

    def _prepare(self, ledger: DrainLedger, stop: threading.Event) -> int:
        """Bring events up to their backends and return of how many were new to them."""
        ledger.delivery.register([backend.spec for backend in self._backends])
        spooled = self._from_spool(ledger)
        fanned = _until_none(ledger.delivery.fan_out, stop)
        with self._lock:
            self._sum.spooled += spooled
            self._sum.fanned += fanned
        return fanned

    def _from_spool(self, ledger: DrainLedger) -> int:
        try:
            return self._spool.drain(ledger.events.add, rounds=100) if self._spool else 0
        except OSError as err:
            if not self._unread:
                log.warning("The spool cannot be drained, the rest goes on: %s", err)
            self._unread = True
            return 0

    def _into_graph(self, ledger: DrainLedger, stop: threading.Event) -> None:
        if self._project is None:
            return
        project = self._project
        projected = _until_none(lambda: project(ledger), stop)
        with self._lock:
            self._sum.projected += projected

    def _empty(self, backend: LineageBackend, stop: threading.Event) -> None:
        with self._open() as ledger:
            while not stop.is_set() and self._deliver(ledger, backend).claimed:
                pass

    def _serve(
        self, backend: LineageBackend, stop: threading.Event, wake: threading.Event, pause: float
    ) -> None:
        failures = 0
        while not stop.is_set():
            try:
                with self._open() as ledger:
                    failures = 0
                    while not stop.is_set():
                        wake.clear()
                        tally = self._deliver(ledger, backend)
                        if not tally.claimed or tally.unreachable:
                            wake.wait(pause)
            except BackendError as err:
                failures = _rest(stop, failures, err)

    def _deliver(self, ledger: DrainLedger, backend: LineageBackend) -> Tally:
        tally = ledger.delivery.deliver(
            backend.spec.name, lambda due: send_in_order(backend, due), limit=self._batch
        )
        with self._lock:
            self._sum.add(backend.spec.name, tally)
        if tally.unreachable:
            log.warning("Lineage backend %r takes nothing now: %s", backend.spec.name, tally.unreachable)
        if tally.dead:
            log.error(
                "Lineage backend %r refused %d events; `dataml delivery dead` says why",
                backend.spec.name,
                len(tally.dead),
            )
        return tally


def _until_none(work: Callable[[], int], stop: threading.Event) -> int:
    total = 0
    while not stop.is_set() and (count := work()):
        total += count
    return total


def _rest(stop: threading.Event, failures: int, err: BackendError) -> int:
    if not failures:
        log.warning("The drainer waits for the ledger: %s", err)
    stop.wait(min(pause_s(failures + 1), _LONGEST_REST_S))
    return failures + 1
