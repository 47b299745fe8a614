"""Kubernetes: manifests of trainings; no client, nothing is submitted from here."""

from __future__ import annotations

from airflow_dataml.adapters.kubernetes.manifest import KubernetesJob, as_yaml, job_manifest

__all__ = ["KubernetesJob", "as_yaml", "job_manifest"]
