"""A training as a Kubernetes Job or a Kubeflow TrainJob, validated before anybody applies it."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from airflow_dataml.core.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_dataml.core.training import TrainingSpec

REFUSED = 3
ENTRYPOINT = "airflow_dataml.adapters.lightning.remote"
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
_SUBDOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")
_QUANTITY = re.compile(r"(\d+(\.\d+)?)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?\Z")
_IMAGE = re.compile(
    r"[a-z0-9]([a-z0-9._:-]*[a-z0-9])?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*(:[\w][\w.-]{0,127})?(@sha256:[0-9a-f]{64})?\Z"
)


class KubernetesJob(BaseModel):
    """Where and with what a training runs on Kubernetes.

    :param image: container image with this package and its extra ``lightning``.
    :param claim: PersistentVolumeClaim of the folder that is ``[dataml] work_dir`` of the workers.
    :param mount: absolute path at which it is mounted in the container.
    :param folder: absolute path, below ``mount``, of the folder that the train task prepared.
    :param kind: ``Job`` of Kubernetes itself, or ``TrainJob`` of Kubeflow's Trainer.
    :param cpu: CPUs, as a quantity; the spec's threads times its processes unless given.
    :param memory: memory, as a quantity; about three times the data file and half a GiB per process are needed.
    :param gpus: GPUs; one per process where the spec says ``accelerator: gpu``.
    :param retries: further pods after one that died; each resumes from the last checkpoint.
    :param keep_seconds: after its end the Job is deleted.
    :param runtime: Kubeflow's ClusterTrainingRuntime; for a TrainJob alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: str
    claim: str
    mount: str
    folder: str
    kind: Literal["Job", "TrainJob"] = "Job"
    namespace: str = "default"
    cpu: str | None = None
    memory: str = "2Gi"
    gpus: int | None = Field(default=None, ge=0, le=64)
    service_account: str | None = None
    node_selector: dict[str, str] = Field(default_factory=dict)
    retries: int = Field(default=2, ge=0, le=100)
    keep_seconds: int = Field(default=86400, ge=0)
    runtime: str = "torch-distributed"
    python: str = "python"

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Read what was written, or say which part of it Kubernetes would refuse.

        :raises SpecError: a name, a quantity or a path is none.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as err:
            said = "; ".join(
                f"{'.'.join(map(str, d['loc'])) or 'as a whole'}: {d['msg'].removeprefix('Value error, ')}"
                + (f" (received {d['input']!r})" if d["loc"] else "")
                for d in err.errors(include_url=False)
            )
            msg = f"the Kubernetes job is not valid: {said}"
            raise SpecError(msg) from err

    @field_validator("namespace")
    @classmethod
    def _label(cls, value: str) -> str:
        return _match(_LABEL, value, "a DNS label: a-z, 0-9 and '-', at most 63 letters")

    @field_validator("claim", "service_account", "runtime")
    @classmethod
    def _subdomain(cls, value: str | None) -> str | None:
        return value and _match(_SUBDOMAIN, value, "a DNS name: a-z, 0-9, '-' and '.'")

    @field_validator("cpu", "memory")
    @classmethod
    def _quantity(cls, value: str | None) -> str | None:
        return value and _match(_QUANTITY, value, "a quantity such as 500m, 2 or 4Gi")

    @field_validator("image")
    @classmethod
    def _image(cls, value: str) -> str:
        return _match(_IMAGE, value, "an image such as registry.example.com/team/dataml:1.0")

    @model_validator(mode="after")
    def _paths(self) -> Self:
        folder, mount = PurePosixPath(self.folder), PurePosixPath(self.mount)
        if not mount.is_absolute() or ".." in (*folder.parts, *mount.parts) or ":" in self.mount:
            msg = f"mount {self.mount!r} must be an absolute path without '..' and ':'"
            raise ValueError(msg)
        if folder == mount or not folder.is_relative_to(mount):
            msg = f"folder {self.folder!r} must lie below mount {self.mount!r}: elsewhere the container sees nothing"
            raise ValueError(msg)
        return self


def job_manifest(spec: TrainingSpec, job: KubernetesJob) -> dict[str, Any]:
    """Return the manifest that trains a prepared folder. It was never applied to a cluster by its authors.

    :raises SpecError: spec and job contradict each other.
    """
    gpus = job.gpus if job.gpus is not None else (spec.processes if spec.accelerator == "gpu" else 0)
    if spec.accelerator == "gpu" and gpus < spec.processes:
        msg = f"the spec asks for a GPU in each of {spec.processes} processes and the job for {gpus}."
        raise SpecError(msg)
    meta = {
        "name": _name(spec, job),
        "namespace": job.namespace,
        "labels": {"app.kubernetes.io/name": "dataml-training", "app.kubernetes.io/managed-by": "dataml"},
        "annotations": {"dataml/model": spec.model},
    }
    body = _train_job(spec, job, gpus) if job.kind == "TrainJob" else _job(spec, job, gpus)
    version = "trainer.kubeflow.org/v1alpha1" if job.kind == "TrainJob" else "batch/v1"
    return {"apiVersion": version, "kind": job.kind, "metadata": meta, "spec": body}


def as_yaml(manifest: Mapping[str, Any]) -> str:
    """Write a manifest for ``kubectl apply -f -``."""
    import yaml

    return yaml.safe_dump(dict(manifest), sort_keys=False)


def _job(spec: TrainingSpec, job: KubernetesJob, gpus: int) -> dict[str, Any]:
    container = {
        "name": "train",
        "image": job.image,
        "command": _command(job),
        "resources": _resources(spec, job, gpus),
        "volumeMounts": _mounts(job),
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "containers": [container],
        "volumes": _volumes(job),
    }
    if job.service_account:
        pod["serviceAccountName"] = job.service_account
    if job.node_selector:
        pod["nodeSelector"] = dict(job.node_selector)
    return {
        "backoffLimit": job.retries,
        "ttlSecondsAfterFinished": job.keep_seconds,
        # What the spec has wrong is wrong in the next pod too.
        "podFailurePolicy": {
            "rules": [
                {
                    "action": "FailJob",
                    "onExitCodes": {"containerName": "train", "operator": "In", "values": [REFUSED]},
                }
            ]
        },
        "template": {"spec": pod},
    }


def _train_job(spec: TrainingSpec, job: KubernetesJob, gpus: int) -> dict[str, Any]:
    pod: dict[str, Any] = {
        "volumes": _volumes(job),
        "containers": [{"name": "node", "volumeMounts": _mounts(job)}],
    }
    if job.service_account:
        pod["serviceAccountName"] = job.service_account
    if job.node_selector:
        pod["nodeSelector"] = dict(job.node_selector)
    return {
        "runtimeRef": {"name": job.runtime},
        "trainer": {
            "image": job.image,
            # One node: the program starts the spec's processes itself.
            "numNodes": 1,
            "command": _command(job),
            "resourcesPerNode": _resources(spec, job, gpus),
        },
        "podTemplateOverrides": [{"targetJobs": [{"name": "node"}], "spec": pod}],
    }


def _command(job: KubernetesJob) -> list[str]:
    return [job.python, "-P", "-m", ENTRYPOINT, job.folder]


def _resources(spec: TrainingSpec, job: KubernetesJob, gpus: int) -> dict[str, dict[str, str]]:
    cpu = job.cpu or str(spec.threads * spec.processes)
    accelerators = {"nvidia.com/gpu": str(gpus)} if gpus else {}
    return {
        "requests": {"cpu": cpu, "memory": job.memory, **accelerators},
        "limits": {"memory": job.memory, **accelerators},
    }


def _volumes(job: KubernetesJob) -> list[dict[str, Any]]:
    return [
        {"name": "work", "persistentVolumeClaim": {"claimName": job.claim}},
        {"name": "shm", "emptyDir": {"medium": "Memory"}},
    ]


def _mounts(job: KubernetesJob) -> list[dict[str, str]]:
    return [{"name": "work", "mountPath": job.mount}, {"name": "shm", "mountPath": "/dev/shm"}]  # noqa: S108 - in the container


def _name(spec: TrainingSpec, job: KubernetesJob) -> str:
    """Name a job by model, spec and folder: applying it again is the same job."""
    said = json.dumps([spec.model_dump(mode="json"), job.folder], sort_keys=True)
    plain = re.sub(r"[^a-z0-9]+", "-", spec.model.lower()).strip("-")[:40].strip("-") or "model"
    return f"dataml-{plain}-{hashlib.sha256(said.encode()).hexdigest()[:8]}"


def _match(pattern: re.Pattern[str], value: str, what: str) -> str:
    if not pattern.match(value):
        msg = f"write {what}"
        raise ValueError(msg)
    return value
