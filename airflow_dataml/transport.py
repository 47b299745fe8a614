"""The transport of the OpenLineage client that loses nothing and waits for no backend.

In ``airflow.cfg``::

    [openlineage]
    transport = {"type": "airflow_dataml.transport.OutboxTransport"}
    execute_in_thread = True
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import attr
from openlineage.client.transport.transport import Config, Transport

from airflow_dataml import emission
from airflow_dataml.core.recorded import record

if TYPE_CHECKING:
    from openlineage.client.client import Event

    from airflow_dataml.adapters.spool import EventSpool


@attr.define
class OutboxConfig(Config):
    """Where events are kept; no secret is in it.

    :param conn_id: Airflow connection of the ledger; ``[dataml] conn_id`` unless given.
    :param spool_dir: folder for events while the ledger does not answer; ``[dataml] spool_dir`` unless given.
    """

    conn_id: str | None = None
    spool_dir: str | None = None

    @classmethod
    def from_dict(cls, params: dict[str, Any]) -> OutboxConfig:
        """Read the configuration; what is not known is refused, for it would be a mistyped name."""
        unknown = sorted(set(params) - {"type", "conn_id", "spool_dir"})
        if unknown:
            msg = f"OutboxTransport does not know {', '.join(map(repr, unknown))}: it takes conn_id and spool_dir."
            raise ValueError(msg)
        return cls(conn_id=params.get("conn_id") or None, spool_dir=params.get("spool_dir") or None)


class OutboxTransport(Transport):
    """Keeps every event in the ledger, from where the drainer takes it on; in the spool when there is no ledger.

    An event is on a disk when ``emit`` returns, and is kept once however often it is emitted.
    """

    kind = "dataml"
    config_class = OutboxConfig

    def __init__(self, config: OutboxConfig) -> None:
        self.config = config

    def __repr__(self) -> str:
        return f"OutboxTransport({self.config!r})"

    @property
    def spool(self) -> EventSpool:
        """The spool of this host."""
        if self.config.spool_dir is None:
            return emission.default_spool()
        from airflow_dataml.adapters.spool import EventSpool

        return EventSpool(os.path.expanduser(self.config.spool_dir))

    def emit(self, event: Event) -> str:
        """Keep an event and say where it is: ``ledger`` or ``spool``.

        :raises LedgerError: neither took it; the client's caller logs that.
        """
        from openlineage.client.serde import Serde

        recorded = record(Serde.to_dict(event), source="transport", task=emission.task_known())
        return emission.keep([recorded], conn_id=self.config.conn_id, spool=self.spool)
