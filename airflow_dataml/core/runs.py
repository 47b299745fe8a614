"""Task instances: who is writing, and whether this is a retry."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from airflow_dataml.core.refs import FactKey, TaskKey


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """What Airflow says about the task instance that runs now.

    :param max_tries: tries Airflow allows in all. Clearing a task raises it, a retry does not: that
        tells a deliberate second run from a retry.
    """

    task: TaskKey
    try_number: int = 1
    partition_key: str | None = None
    ti_id: str | None = None
    code_version: str | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    max_tries: int | None = None

    @property
    def triggered_by(self) -> str | None:
        """The person who triggered the run; ``None`` for a schedule's."""
        return self.environment.get("triggered_by")


@dataclass(frozen=True, slots=True)
class TaskRun:
    """A task instance with its row in the ledger.

    :param input_digest: what this try works on; it is kept when the try reaches its result.
    """

    run_key: int
    identity: RunIdentity
    generation: int = 1
    resumed: bool = False
    input_digest: str = ""

    def fact(self, asset: str) -> FactKey:
        """Return the idempotency key of what this task writes about an asset."""
        return FactKey(self.identity.task, asset, self.generation)


def digest_of(**inputs: Any) -> str:
    """Content address of what a task works on; decides retry or new generation.

    >>> digest_of(file="a.csv", size=3) == digest_of(size=3, file="a.csv")
    True
    """
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, default=str).encode()).hexdigest()[:32]
