"""A transport of somebody else, named by its path."""

from __future__ import annotations

from typing import Any, ClassVar

from openlineage.client.transport.transport import Config, Transport  # noqa: TID253 - what the client does is what is tested


class Remembering(Transport):
    """Keeps the client's own event objects."""

    kind = "remembering"
    config_class = Config
    seen: ClassVar[list[Any]] = []

    def __init__(self, config: Config) -> None:
        del config

    def emit(self, event: Any) -> None:
        self.seen.append(event)
