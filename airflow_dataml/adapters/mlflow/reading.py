"""What MLflow holds of models and runs, read as it stands there."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.mlflow.client import answers
from airflow_dataml.core.errors import NotFoundError
from airflow_dataml.core.registry import SOURCE_TAG, check_key
from airflow_dataml.core.registry_reading import RegisteredModel, RegisteredVersion, RunRecord

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from mlflow import MlflowClient

    from airflow_dataml.adapters.mlflow.uri import TrackingUri

_MODEL_URI = "models:/m-"
_PAGE = 200


class MlflowReading:
    """The reading half of the registry; see ``MlflowRegistry``."""

    _uri: TrackingUri

    def _answers(self) -> AbstractContextManager[MlflowClient]:
        raise NotImplementedError

    def registered(self, model: str) -> RegisteredModel | None:
        """Return a model with its versions, aliases and tags; ``None`` where nobody registered it."""
        check_key(model, what="model")
        try:
            with self._answers() as client:
                found = client.get_registered_model(model)
        except NotFoundError:
            return None
        with self._answers() as client:
            versions, token = [], None
            while True:
                page: Any = client.search_model_versions(
                    f"name = '{model}'", max_results=_PAGE, page_token=token
                )
                versions += [_version(one) for one in page]
                token = page.token
                if not token:
                    break
        return RegisteredModel(
            name=model,
            versions=tuple(sorted(versions, key=lambda one: one.version)),
            aliases={alias: int(version) for alias, version in found.aliases.items()},
            tags=dict(found.tags),
        )

    def run_record(self, run_id: str) -> RunRecord | None:
        """Return what is known of a run; ``None`` where it was deleted for good."""
        try:
            with self._answers() as client:
                run = client.get_run(run_id)
        except NotFoundError:
            return None
        return RunRecord(
            run_id=run_id,
            name=str(run.info.run_name or ""),
            status=str(run.info.status),
            params=dict(run.data.params),
            metrics=dict(run.data.metrics),
            started_ms=run.info.start_time,
            ended_ms=run.info.end_time,
            user=run.data.tags.get("mlflow.user"),
        )

    def fetch_version(self, *, model: str, version: int, target: Path) -> None:
        """Copy all files of a registered version into a folder, as they are; nothing is loaded."""
        with self._answers() as client:
            place = client.get_model_version_download_uri(model, str(version))
            if place.startswith(_MODEL_URI):
                place = client.get_logged_model(place.removeprefix("models:/")).artifact_location
        if not place:
            msg = f"MLflow at {self._uri.shown} does not say where the files of {model!r} version {version} are."
            raise NotFoundError(msg)
        self._download(place, target)
        if not any(path.is_file() for path in target.rglob("*")):
            msg = f"the artifact store holds no file of {model!r} version {version} at {place!r}."
            raise NotFoundError(msg)

    def set_tag(self, *, model: str, version: int | None, key: str, value: str | None) -> None:
        """Set a tag of a version, or of the model for ``None``; the value ``None`` removes it."""
        with self._answers() as client:
            if value is not None and version is None:
                client.set_registered_model_tag(model, key, value)
            elif value is not None:
                client.set_model_version_tag(model, str(version), key, value)
            else:
                with suppress(NotFoundError), answers(self._uri):
                    if version is None:
                        client.delete_registered_model_tag(model, key)
                    else:
                        client.delete_model_version_tag(model, str(version), key)

    def _download(self, place: str, target: Path) -> None:
        """Copy a folder of the artifact store; the target appears whole or not at all."""
        scratch = Path(f"{target}.{os.getpid()}.part")
        with self._answers():
            from mlflow.artifacts import download_artifacts

            scratch.mkdir(parents=True, exist_ok=True)
            files = Path(
                download_artifacts(artifact_uri=place, dst_path=str(scratch), tracking_uri=self._uri.text)
            )
        with suppress(OSError):  # another task of this worker was faster; its files are the same
            files.rename(target)
        shutil.rmtree(scratch, ignore_errors=True)


def _version(found: Any) -> RegisteredVersion:
    tags = dict(found.tags)
    # MLflow on a database keeps the folder and forgets which logged model it was; ours say so in a tag.
    logged = f"models:/{found.model_id}" if found.model_id else None
    return RegisteredVersion(
        version=int(found.version),
        run_id=found.run_id or None,
        source=tags.get(SOURCE_TAG) or logged or str(found.source),
        tags=tags,
        created_ms=int(found.creation_timestamp or 0),
        description=found.description or None,
    )
