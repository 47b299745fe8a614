"""The hook that takes lineage events by hand."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow_dataml import config, emission
from airflow_dataml.adapters.spool import EventSpool
from airflow_dataml.core.errors import SpecError
from airflow_dataml.hooks.ledger import DataMLHook

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.core.recorded import Recorded

log = logging.getLogger(__name__)


class LineageHook(DataMLHook):
    """Lineage events of what OpenLineage does not see by itself.

    :param dataml_conn_id: connection of the ledger; ``[dataml] conn_id`` unless given.
    """

    def __init__(self, dataml_conn_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(dataml_conn_id or config.conn_id(), **kwargs)

    def emit(self, events: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Keep OpenLineage events durably: all of them or, where one is wrong, none.

        They are about the run they name, not about the task that emits them. The ledger is asked for seconds at
        most; when it does not answer they wait in the spool of this host. The same event twice is one.

        :param events: one event, or a list in the order in which they happened, as plain JSON.
        :return: ``{"events", "kept": "ledger" | "spool", "problems"}``; problems are parts nobody can use.
        :raises SpecError: one of them is no OpenLineage event.
        :raises LedgerError: neither the ledger nor the spool took them.
        """
        found, problems = _read(events)
        kept = emission.keep(found, conn_id=self.dataml_conn_id, spool=EventSpool(config.spool_dir()))
        for problem in problems:
            log.warning("Lineage: %s", problem)
        return {"events": len(found), "kept": kept, "problems": problems}


def _read(
    events: Mapping[str, Any] | Sequence[Mapping[str, Any]],
) -> tuple[list[Recorded], list[str]]:
    """Return events as they are kept, and what in them cannot be used.

    :raises SpecError: one of them is no OpenLineage event; the message says which and why.
    """
    from airflow_dataml.core.openlineage import read_event
    from airflow_dataml.core.recorded import record

    given = [events] if isinstance(events, dict) else events
    if not isinstance(given, list | tuple) or not given:
        msg = f"lineage events were given as {type(events).__name__}: give one event as a dict, or a list of them."
        raise SpecError(msg)
    found, problems = [], []
    for number, event in enumerate(given):
        try:
            seen = read_event(event)
        except SpecError as err:
            msg = f"lineage event {number} of {len(given)} cannot be read: {err}"
            raise SpecError(msg) from err
        problems += [f"event {number}: {problem}" for problem in seen.problems]
        found.append(record(event, source="operator"))
    return found, problems
