"""A listener that, before a task's first lineage event, finds out what a forked child may not ask for.

The OpenLineage provider emits in a child process that shares the socket to the supervisor with the task. Asking
over it there could leave an answer behind for the task to read. So the task's own process asks, once, and its
children inherit the answer.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)
_OURS = "airflow_dataml.transport"


class LineageListener:
    """Notes which task runs and where the ledger is, in the process of the task."""

    @hookimpl(tryfirst=True)
    def on_task_instance_running(self, previous_state: Any, task_instance: Any) -> None:
        """Called when a task begins, before the OpenLineage provider is."""
        del previous_state
        try:
            conn_ids = ledgers()
            if not conn_ids:
                return
            from airflow_dataml import emission

            emission.note_task(task_instance)
            if "openlineage.client" in sys.modules:
                import airflow_dataml.transport  # noqa: F401 - loaded once here instead of in each child
            for conn_id in conn_ids:
                emission.prepare(conn_id)
        except Exception as err:  # noqa: BLE001 - events wait in the spool then; the task has no part in it
            log.warning(
                "The ledger's connection is not known here, lineage goes to the spool: %s", type(err).__name__
            )


def ledgers() -> list[str | None]:
    """Return the connections our transport writes to; empty where lineage does not go through it.

    A configuration that is in a file or a connection is not read for this: it is taken to name the default.
    """
    from airflow.sdk import conf

    if conf.getboolean("openlineage", "disabled", fallback=False):
        return []
    env = (value for name, value in os.environ.items() if name.startswith("OPENLINEAGE__TRANSPORT"))
    texts = [
        str(one) for one in (conf.get("openlineage", "transport", fallback=""), *env) if _OURS in str(one)
    ]
    if texts:
        return sorted({conn_id for text in texts for conn_id in _named(text)}, key=str)
    elsewhere = (conf.get("openlineage", name, fallback="") for name in ("config_path", "config_conn_id"))
    return [None] if any(elsewhere) or os.environ.get("OPENLINEAGE_CONFIG") else []


def _named(text: str) -> Iterator[str | None]:
    """Yield the connection of every transport of ours in a configuration; the default where it is no JSON."""
    try:
        config = json.loads(text)
    except ValueError:
        yield None
        return
    yield from _within(config)


def _within(config: Any) -> Iterator[str | None]:
    if isinstance(config, str):
        yield None
    elif isinstance(config, dict):
        if str(config.get("type", "")).startswith(_OURS):
            yield config.get("conn_id")
        for one in config.values():
            if isinstance(one, dict | list):
                yield from _within(one)
    elif isinstance(config, list):
        for one in config:
            yield from _within(one)
