"""How MLflow names a dataset version of ours; MLflow loads this module through its entry point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from mlflow.data.dataset_source import DatasetSource  # noqa: TID253  only MLflow itself and log_dataset import this module

from airflow_dataml.core.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping

SOURCE_TYPE = "dataml"


@dataclass(frozen=True, slots=True)
class DataMLDatasetSource(DatasetSource):
    """A dataset version in the ledger.

    :param uri: the asset's uri, ``dataml://dataset/<name>``.
    """

    uri: str
    name: str
    version: int

    @staticmethod
    def _get_source_type() -> str:
        return SOURCE_TYPE

    @staticmethod
    def _can_resolve(raw_source: object) -> bool:
        return isinstance(raw_source, DataMLDatasetSource)

    @classmethod
    def _resolve(cls, raw_source: DataMLDatasetSource) -> DataMLDatasetSource:
        return raw_source

    def load(self) -> NoReturn:
        """Refuse: the rows are in the warehouse, and MLflow has no connection to it.

        :raises SpecError: always, naming the version to read.
        """
        msg = f"MLflow holds only the name of {self.name}@{self.version}: read it from the warehouse with airflow_dataml."
        raise SpecError(msg)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"uri": self.uri, "name": self.name, "version": self.version}

    @classmethod
    def from_dict(cls, source_dict: Mapping[str, Any]) -> DataMLDatasetSource:
        """Read what ``to_dict`` wrote."""
        return cls(str(source_dict["uri"]), str(source_dict["name"]), int(source_dict["version"]))
