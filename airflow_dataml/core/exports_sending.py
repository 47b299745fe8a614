"""Sending: the port of whoever speaks to a server, and what an answer means for the request it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

OnProgress = Callable[[str], None]
Done = Literal["created", "updated", "unchanged", "differs"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said.

    :param body: its JSON, or nothing where it sent none.
    :param text: the beginning of what it sent, for people.
    """

    status: int
    body: Any = None
    text: str = ""

    @property
    def ok(self) -> bool:
        """Whether it did what it was asked."""
        return 200 <= self.status < 300


class Server(Protocol):
    """A server with a REST interface."""

    @property
    def target(self) -> str:
        """Its address without credentials."""

    def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, repeat: bool = True
    ) -> Answer:
        """Send a request and return the answer, whatever its status.

        :param repeat: whether asking again is harmless when no answer came.
        :raises BackendError: it did not answer, or said that it is busy, after every try.
        """


@dataclass(slots=True)
class Sent:
    """What sending came to, in numbers of requests.

    :param differs: items that are there in another shape which the server does not let change.
    :param refused: items the server would not take, with its words.
    """

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    differs: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)

    def note(self, item: str, done: Done) -> None:
        """Count one request."""
        if done == "differs":
            self.differs.append(item)
        else:
            setattr(self, done, getattr(self, done) + 1)

    @property
    def total(self) -> int:
        """How many requests were answered."""
        return self.created + self.updated + self.unchanged + len(self.differs) + len(self.refused)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "created": self.created,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "differs": self.differs,
        }
