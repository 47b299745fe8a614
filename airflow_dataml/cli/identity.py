"""Who writes when a person runs a command."""

from __future__ import annotations

import getpass
import uuid
from datetime import UTC, datetime

from airflow_dataml.core.refs import TaskKey
from airflow_dataml.core.runs import RunIdentity


def cli_identity(action: str) -> RunIdentity:
    """Return an identity of this invocation alone: the person, the moment and the command."""
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    run = f"{getpass.getuser()}__{moment}__{uuid.uuid4().hex[:8]}"
    return RunIdentity(task=TaskKey("dataml-cli", run, action))
