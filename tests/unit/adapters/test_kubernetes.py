"""Manifests of trainings: what Kubernetes would refuse is refused here, with the reason."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from airflow_dataml.adapters.kubernetes import KubernetesJob, as_yaml, job_manifest
from airflow_dataml.cli.manifest import MANIFEST
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.training import TrainingSpec

if TYPE_CHECKING:
    from pathlib import Path

BASE = {
    "model": "Ride_Late.v2",
    "features": [{"name": "km"}],
    "target": "late",
    "task": "binary",
    "engine": "kubernetes",
    "processes": 2,
    "threads": 3,
}
PLACE = {
    "image": "registry.example.com/team/dataml:1.0",
    "claim": "work",
    "mount": "/mnt/work",
    "folder": "/mnt/work/0123",
}


def spec(**changes: Any) -> TrainingSpec:
    return TrainingSpec.from_mapping(BASE | {"model": "ride_late"} | changes)


def job(**changes: Any) -> KubernetesJob:
    return KubernetesJob.of(PLACE | changes)


def test_a_job_asks_for_what_the_spec_needs() -> None:
    made = job_manifest(spec(), job(service_account="trainer", node_selector={"disk": "fast"}))
    assert (made["apiVersion"], made["kind"]) == ("batch/v1", "Job")
    assert made["metadata"]["name"].startswith("dataml-ride-late-")
    pod = made["spec"]["template"]["spec"]
    assert (pod["serviceAccountName"], pod["nodeSelector"]) == ("trainer", {"disk": "fast"})
    (container,) = pod["containers"]
    assert container["command"][-2:] == ["airflow_dataml.adapters.lightning.remote", "/mnt/work/0123"]
    assert container["resources"] == {
        "requests": {"cpu": "6", "memory": "2Gi"},
        "limits": {"memory": "2Gi"},
    }
    assert {m["name"] for m in container["volumeMounts"]} == {v["name"] for v in pod["volumes"]}
    # A pod that died is followed by one that resumes; one that refused is not.
    assert pod["restartPolicy"] == "Never"
    assert made["spec"]["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"] == [3]
    assert made["spec"]["podFailurePolicy"]["rules"][0]["onExitCodes"]["containerName"] == container["name"]


def test_a_train_job_names_its_runtime_and_overrides_the_node() -> None:
    made = job_manifest(spec(accelerator="gpu"), job(kind="TrainJob", cpu="500m"))
    assert made["apiVersion"] == "trainer.kubeflow.org/v1alpha1"
    assert made["spec"]["runtimeRef"] == {"name": "torch-distributed"}
    resources = made["spec"]["trainer"]["resourcesPerNode"]
    assert resources["limits"] == {"memory": "2Gi", "nvidia.com/gpu": "2"}
    assert resources["requests"]["cpu"] == "500m"
    (override,) = made["spec"]["podTemplateOverrides"]
    assert override["targetJobs"] == [{"name": "node"}]
    assert override["spec"]["volumes"][0]["persistentVolumeClaim"] == {"claimName": "work"}


def test_the_same_training_has_the_same_name_and_another_folder_another() -> None:
    names = [job_manifest(spec(), job(folder=f"/mnt/work/{n}"))["metadata"]["name"] for n in (1, 1, 2)]
    assert names[0] == names[1] != names[2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"namespace": "My_Team"}, r"namespace: write a DNS label.*received 'My_Team'"),
        ({"namespace": "a" * 64}, "namespace: write a DNS label"),
        ({"claim": "work.-x"}, "claim: write a DNS name"),
        ({"service_account": "a..b"}, "service_account: write a DNS name"),
        ({"memory": "2 GB"}, "memory: write a quantity"),
        ({"cpu": "two"}, "cpu: write a quantity"),
        ({"image": "Has Spaces"}, "image: write an image"),
        ({"mount": "work"}, "absolute path"),
        ({"folder": "/elsewhere/0123"}, "must lie below mount"),
        ({"folder": "/mnt/work/../etc"}, r"without '\.\.'"),
        ({"kind": "Pod"}, "kind"),
        ({"gpu": 1}, "gpu: Extra inputs"),
    ],
    ids=str,
)
def test_what_kubernetes_would_refuse_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        job(**changes)


def test_fewer_gpus_than_processes_are_refused() -> None:
    with pytest.raises(SpecError, match="a GPU in each of 2 processes and the job for 1"):
        job_manifest(spec(accelerator="gpu"), job(gpus=1))


def test_the_command_prints_what_kubectl_takes(tmp_path: Path) -> None:
    path = tmp_path / "spec.yml"
    path.write_text(yaml.safe_dump(BASE | {"model": "ride_late"}))
    said = argparse.Namespace(
        spec=str(path), kind="Job", namespace=None, cpu=None, memory="4Gi", gpus=None, **PLACE
    )
    output = MANIFEST.run(None, said)
    assert yaml.safe_load(output.text) == output.data
    assert output.data == job_manifest(spec(), job(memory="4Gi"))
    assert as_yaml(output.data).startswith("apiVersion: batch/v1")
