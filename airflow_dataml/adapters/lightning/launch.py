"""The launcher of several training processes: torchrun on one machine, tied to the life of the task.

Run as ``python -P -m airflow_dataml.adapters.lightning.launch job.json`` by :class:`LightningTrainer` only.
Whatever one process refuses or breaks, torchrun ends the others; when this process is killed, the kernel ends
them, for torchrun gives each a session of its own that no signal to our group reaches.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from airflow_dataml.adapters.lightning.child import die_with
from airflow_dataml.adapters.lightning.ranks import LAUNCHER

CHILD = "airflow_dataml.adapters.lightning.child"


def main(job_file: Path) -> None:
    """Start the processes of a job and wait for them."""
    from torch.distributed.run import main as torchrun

    job = json.loads(job_file.read_text(encoding="utf-8"))
    die_with(job["parent"])
    os.environ[LAUNCHER] = str(os.getpid())
    os.environ["PYTHONSAFEPATH"] = "1"  # what -P says to one interpreter, for those it starts
    if sys.platform == "linux":
        # One machine: neither its name nor an outer network has to work.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    count = str(job["spec"].get("processes", 1))
    torchrun(
        ["--standalone", "--local-addr", "127.0.0.1", "--nproc-per-node", count, "-m", CHILD, str(job_file)]
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
