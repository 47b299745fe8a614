"""The public surface, name by name: what is listed here is promised, anything else may change."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

from airflow_dataml.get_provider_info import get_provider_info

KINDS = ("operators", "sensors", "triggers", "decorators", "task_groups", "hooks", "notifications")
PUBLIC = {
    "assets": [
        "Said",
        "create_asset",
        "dataset",
        "entry_of",
        "external",
        "facts_of",
        "model",
        "retrain",
        "sanitize_uri",
        "to_openlineage",
    ],
    "config": ["conn_id", "harvest_checks", "lineage_backends", "mlflow_conn_id", "spool_dir", "work_dir"],
    "decorators.asking": ["ask"],
    "decorators.datasets": ["dataset_transform_task"],
    "decorators.monitoring": ["model_monitor_task"],
    "decorators.quality": ["quality_check_task"],
    "decorators.staging": ["dataset_stage_task"],
    "hooks.drain": ["configured_backends", "drainer", "resolved"],
    "hooks.exports": ["server_of"],
    "hooks.ledger": ["DataMLHook"],
    "hooks.lineage": ["LineageHook"],
    "hooks.mlflow": ["MlflowHook"],
    "hooks.ray": ["RayHook"],
    "hooks.rows": ["rows_of"],
    "links": ["IncidentsLink", "LedgerLink", "LineageLink", "asset_path", "incidents_path", "lineage_path"],
    "notifications.incidents": ["IncidentNotifier"],
    "operators.approval": ["ApprovalOperator"],
    "operators.base": [
        "DataMLOperator",
        "Spec",
        "authored",
        "branch_of",
        "event_facts",
        "identity_of",
        "layout_of",
        "location_of",
        "place_for",
        "ref_of",
        "refuse_branch",
        "register",
        "spec_of",
        "staged_for",
        "store_of",
        "view_of",
    ],
    "operators.bench": ["bench"],
    "operators.blame": ["ModelBlameOperator"],
    "operators.branches": [
        "BranchCreateOperator",
        "BranchDiffOperator",
        "BranchDropOperator",
        "BranchMergeOperator",
    ],
    "operators.card": ["ModelCardOperator"],
    "operators.catalog": ["CatalogCrawlOperator", "CatalogRegisterOperator"],
    "operators.check_results": ["check_results"],
    "operators.datasets": ["DatasetPublishOperator", "DatasetStageOperator", "DatasetTransformOperator"],
    "operators.diffs": ["DatasetDiffOperator"],
    "operators.engines": ["engine_for"],
    "operators.evaluation": ["ModelEvaluateOperator"],
    "operators.explanation": ["ModelExplainOperator"],
    "operators.exports": ["CatalogExportOperator"],
    "operators.facets": ["Declared", "LineageTelling", "file_fact"],
    "operators.facets_facts": ["Teller", "model_facts"],
    "operators.far": ["table_fact", "tables_of"],
    "operators.hard_examples": ["HardExamplesOperator"],
    "operators.impact": ["ImpactCheckOperator"],
    "operators.lineage": ["LineageDrainOperator", "LineageEmitOperator"],
    "operators.maintenance": ["DatasetCompactOperator", "DatasetRetainOperator"],
    "operators.monitoring": ["ModelMonitorOperator"],
    "operators.places": ["enter", "lineage_name"],
    "operators.point_in_time": ["PointInTimeJoinOperator"],
    "operators.quality": ["QualityCheckOperator"],
    "operators.quarantine": ["QuarantineReplayOperator"],
    "operators.ray": ["RayJobOperator"],
    "operators.reconcile": ["RegistryReconcileOperator"],
    "operators.registry": ["ModelPromoteOperator"],
    "operators.release": ["ModelRollbackOperator", "ReleaseOperator"],
    "operators.release_targets": ["release_target", "version_meant"],
    "operators.reported": ["ModelWindowReportOperator"],
    "operators.reproduce": ["ModelReproduceOperator"],
    "operators.retraining": ["RetrainDecideOperator"],
    "operators.said": ["moment", "ref_within"],
    "operators.scoring": ["ModelScoreOperator"],
    "operators.staging": ["DatasetLoadOperator", "StagingOperator", "arrow_source"],
    "operators.training": ["ModelTrainOperator", "TrainingPlanOperator"],
    "operators.training_engines": ["FolderTrainer", "ManifestTrainer", "RayTrainer"],
    "operators.tune": ["ModelTuneChoiceOperator", "ModelTuneOperator"],
    "operators.versions": ["DatasetRollbackOperator", "DatasetSnapshotOperator"],
    "sensors.datasets": ["DatasetVersionSensor"],
    "sensors.models": ["IncidentSensor", "ModelDriftSensor", "ModelPerformanceSensor"],
    "sensors.overdue": ["DatasetOverdueSensor"],
    "task_groups.audit_publish": ["audit_publish"],
    "task_groups.continuous_training": ["continuous_training"],
    "task_groups.replay_quarantine": ["replay_quarantine"],
    "task_groups.write_audit_publish": ["write_audit_publish"],
    "testing": ["InMemoryRegistry", "RecordedRun", "RecordedVersion"],
    "testing_store": ["InMemoryStore", "Shown"],
    "triggers.announcing": ["Announced", "Announcer", "Numbered", "Watermark", "versions_of"],
    "triggers.datasets": ["DatasetVersionEventTrigger", "DatasetVersionTrigger"],
    "triggers.drain": ["LineageDrainTrigger"],
    "triggers.listening": ["Waiter", "hearing"],
    "triggers.models": [
        "IncidentEventTrigger",
        "IncidentTrigger",
        "ModelReportEventTrigger",
        "ModelReportTrigger",
    ],
    "triggers.overdue": ["DatasetOverdueTrigger"],
    "triggers.ray": ["RayJobTrigger"],
}
# Serve other modules of ours; nothing of them is written in a DAG file.
HELPERS = {
    "hooks.drain",
    "hooks.exports",
    "hooks.rows",
    "operators.base",
    "operators.bench",
    "operators.check_results",
    "operators.engines",
    "operators.facets",
    "operators.facets_facts",
    "operators.far",
    "operators.places",
    "operators.release_targets",
    "operators.said",
    "operators.training_engines",
    "triggers.announcing",
    "triggers.listening",
}


def names_of(module_name):
    """Classes and functions a module defines itself, without a leading underscore."""
    module = importlib.import_module(f"airflow_dataml.{module_name}")
    found = inspect.getmembers(module, lambda value: inspect.isclass(value) or inspect.isfunction(value))
    return sorted(
        name for name, value in found if value.__module__ == module.__name__ and not name.startswith("_")
    )


def modules_of(kind):
    package = importlib.import_module(f"airflow_dataml.{kind}")
    return [f"{kind}.{found.name}" for found in pkgutil.iter_modules(package.__path__)]


def test_every_public_name_is_listed():
    plain = ["assets", "config", "links", "testing", "testing_store"]
    modules = [*plain, *(name for kind in KINDS for name in modules_of(kind))]
    assert {name: names_of(name) for name in sorted(modules)} == PUBLIC


def test_the_list_is_sorted():
    assert list(PUBLIC) == sorted(PUBLIC)
    assert all(names == sorted(names) for names in PUBLIC.values())


def test_airflow_is_told_of_every_module_for_dag_files():
    info = get_provider_info()
    told = {
        name.removeprefix("airflow_dataml.")
        for kind in ("operators", "sensors", "triggers", "hooks")
        for entry in info[kind]
        for name in entry["python-modules"]
    }
    offered = {name for name in PUBLIC if name.split(".")[0] in ("operators", "sensors", "triggers", "hooks")}
    assert told == offered - HELPERS


def test_class_names_end_with_their_kind():
    suffixes = {"operators": "Operator", "sensors": "Sensor", "triggers": "Trigger", "hooks": "Hook", "notifications": "Notifier"}  # fmt: skip
    classes = [
        (suffixes[module.split(".")[0]], name)
        for module, names in PUBLIC.items()
        for name in names
        if module.split(".")[0] in suffixes and module not in HELPERS and name[0].isupper()
    ]
    assert all(name.endswith(suffix) for suffix, name in classes)
