"""``dataml model manifest``: a training as what Kubernetes takes, printed and not applied."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airflow_dataml.adapters.kubernetes import KubernetesJob, as_yaml, job_manifest
from airflow_dataml.cli.spec import Argument, Command, Output, never, positive
from airflow_dataml.core.training import TrainingSpec

if TYPE_CHECKING:
    import argparse


def manifest(_: None, args: argparse.Namespace) -> Output:
    """Print the manifest of a training whose folder a train task prepared."""
    spec = TrainingSpec.from_yaml(Path(args.spec))
    given = {
        "image": args.image, "claim": args.claim, "mount": args.mount, "folder": args.folder, "kind": args.kind,
        "namespace": args.namespace, "cpu": args.cpu, "memory": args.memory, "gpus": args.gpus,
    }  # fmt: skip
    job = KubernetesJob.of({name: value for name, value in given.items() if value is not None})
    made = job_manifest(spec, job)
    return Output(made, as_yaml(made).rstrip("\n"))


def _option(flag: str, text: str, *, required: bool = False, metavar: str = "TEXT") -> Argument:
    return Argument((flag,), {"metavar": metavar, "help": text, "required": required})


MANIFEST = Command(
    "manifest",
    "Print a training as a Kubernetes Job or a Kubeflow TrainJob; nothing is submitted",
    manifest,
    (
        _option("--spec", "YAML file of the training spec", required=True, metavar="FILE"),
        Argument(
            ("--engine",),
            {"choices": ("kubernetes",), "default": "kubernetes", "help": "Whose manifest it is"},
        ),
        Argument(
            ("--kind",),
            {
                "choices": ("Job", "TrainJob"),
                "default": "Job",
                "help": "A Job, or a TrainJob of Kubeflow's Trainer",
            },
        ),
        _option("--image", "Container image with this package and its extra lightning", required=True),
        _option("--claim", "PersistentVolumeClaim of the workers' work folder", required=True),
        _option("--mount", "Where the container mounts it", required=True, metavar="PATH"),
        _option(
            "--folder",
            "The folder the train task prepared, as the container sees it",
            required=True,
            metavar="PATH",
        ),
        _option("--namespace", "Namespace of the job"),
        _option("--cpu", "CPUs; threads times processes of the spec unless given", metavar="QUANTITY"),
        _option("--memory", "Memory; 2Gi unless given", metavar="QUANTITY"),
        Argument(("--gpus",), {"type": positive, "metavar": "N", "help": "GPUs of the job"}),
    ),
    needs_ledger=never,
)
