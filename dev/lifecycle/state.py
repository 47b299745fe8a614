"""The state folder: everything the demo writes, and who is using it."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from dev.embedded import stop_leftover
from dev.lifecycle.processes import marked_processes, stop_processes

CLONE = Path(__file__).resolve().parents[2]
# Paths under the temporary folder become sockets of multiprocessing; those end at about 107 characters.
_LONGEST_TEMPORARY = 70


class StateBusyError(RuntimeError):
    """Another demo is using the folder."""


@dataclass(frozen=True, slots=True)
class State:
    """Where the demo keeps what it makes."""

    root: Path

    @classmethod
    def from_environment(cls) -> State:
        """``DATAML_STATE``, or ``.state`` in the clone."""
        return cls(Path(os.environ.get("DATAML_STATE") or CLONE / ".state").expanduser().resolve())

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def airflow_home(self) -> Path:
        return self.root / "airflow"

    @property
    def landing(self) -> Path:
        return self.root / "landing"

    @property
    def server_log(self) -> Path:
        return self.root / "logs" / "airflow.log"

    @property
    def lineage_log(self) -> Path:
        return self.root / "logs" / "lineage.jsonl"

    @property
    def mlflow_artifacts(self) -> Path:
        return self.root / "mlflow"

    @property
    def _owner_file(self) -> Path:
        return self.root / "demo.json"

    def claim(self) -> list[str]:
        """Make the folder ours; stops what a killed demo left and says what that was.

        :raises StateBusyError: a demo that is alive holds it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        self._refuse_living_owner()
        stopped = self.stop_leftovers()
        for folder in (self.airflow_home, self.landing, self.server_log.parent, self.mlflow_artifacts):
            folder.mkdir(parents=True, exist_ok=True)
        me = psutil.Process()
        self._owner_file.write_text(json.dumps({"pid": me.pid, "started": me.create_time()}))
        return stopped

    def release(self) -> None:
        """Give the folder back."""
        self._owner_file.unlink(missing_ok=True)

    def stop_leftovers(self) -> list[str]:
        """Stop every process an earlier demo left on this folder; what they were."""
        left = marked_processes(self.root)
        names = [f"{process.pid} {process.name()}" for process in left if process.is_running()]
        stop_processes(left)
        if stop_leftover(self.postgres / "data"):
            names.append("postgres")
        return names

    def wipe(self) -> None:
        """Delete everything the demo made.

        :raises StateBusyError: a demo that is alive holds it.
        """
        if not self.root.exists():
            return
        self._refuse_living_owner()
        self.stop_leftovers()
        known = {
            "airflow",
            "postgres",
            "landing",
            "lake",
            "logs",
            "mlflow",
            "xdg",
            "tmp",
            "demo.json",
            "work",
        }
        for entry in self.root.iterdir():
            # Somebody may have pointed DATAML_STATE at a folder with other things in it.
            if entry.name in known:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def environment(self) -> dict[str, str]:
        """Variables that keep every tool's files inside the folder."""
        variables = {
            "DATAML_LANDING": str(self.landing),
            "DATAML_LAKE": str(self.root / "lake"),
            "AIRFLOW_HOME": str(self.airflow_home),
            "MPLCONFIGDIR": str(self.root / "xdg" / "matplotlib"),
            "TORCH_HOME": str(self.root / "xdg" / "torch"),
            "TORCHINDUCTOR_CACHE_DIR": str(self.root / "xdg" / "torchinductor"),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "SODA_TELEMETRY_ENABLED": "false",
            "ORT_DISABLE_TELEMETRY": "1",
            "DO_NOT_TRACK": "1",
        }
        for kind in ("CACHE", "CONFIG", "DATA", "STATE"):
            variables[f"XDG_{kind}_HOME"] = str(self.root / "xdg" / kind.lower())
        temporary = self.root / "tmp"
        if len(str(temporary)) <= _LONGEST_TEMPORARY:
            temporary.mkdir(parents=True, exist_ok=True)
            variables["TMPDIR"] = str(temporary)
        return variables

    def _refuse_living_owner(self) -> None:
        with suppress(FileNotFoundError, ValueError, KeyError, psutil.NoSuchProcess):
            owner = json.loads(self._owner_file.read_text())
            process = psutil.Process(int(owner["pid"]))
            # Process numbers are reused; the start time is not.
            if process.pid != os.getpid() and abs(process.create_time() - owner["started"]) < 1:
                msg = (
                    f"a demo (process {process.pid}) is using {self.root}: stop it with Ctrl-C there, "
                    "or set DATAML_STATE to another folder."
                )
                raise StateBusyError(msg)
