"""The hook that opens the model registry from an Airflow connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_dataml.core.errors import ConnectionSpecError, DataMLError

if TYPE_CHECKING:
    from airflow_dataml.adapters.mlflow import MlflowRegistry


class MlflowHook(BaseHook):
    """MLflow's tracking store and registry: a server (host ``http..``) or its PostgreSQL database.

    :param mlflow_conn_id: connection of type ``dataml_mlflow``.
    """

    conn_name_attr = "mlflow_conn_id"
    default_conn_name = "dataml_mlflow_default"
    conn_type = "dataml_mlflow"
    hook_name = "DataML MLflow"

    def __init__(self, mlflow_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mlflow_conn_id = mlflow_conn_id

    def registry(self) -> MlflowRegistry:
        """Return the registry; nothing is contacted yet."""
        from airflow_dataml.adapters.mlflow import MlflowRegistry

        try:
            conn = self.get_connection(self.mlflow_conn_id)
        except AirflowNotFoundException as err:
            msg = f"connection {self.mlflow_conn_id!r} is not defined: add one of type 'dataml_mlflow'."
            raise ConnectionSpecError(msg) from err
        extra = conn.extra_dejson
        return MlflowRegistry(tracking_uri=self._uri(conn), artifact_location=extra.get("artifact_location"))

    def get_conn(self) -> MlflowRegistry:
        """Return the registry; Airflow's name for it."""
        return self.registry()

    def test_connection(self) -> tuple[bool, str]:
        """Tell whether the store answers and may be used."""
        try:
            self.registry().check()
        except DataMLError as err:
            return False, str(err)
        return True, "The MLflow store answers."

    def _uri(self, conn: Any) -> str:
        from airflow_dataml.adapters.mlflow import mlflow_uri

        host = conn.host or ""
        if host.startswith(("http://", "https://")):
            return f"{host}:{conn.port}" if conn.port else host
        if not conn.schema:
            msg = (
                f"connection {self.mlflow_conn_id!r} names neither a server (host http..) nor a database: "
                "fill in 'Host', or 'Host' and 'Database'."
            )
            raise ConnectionSpecError(msg)
        return mlflow_uri(
            host=host,
            port=conn.port,
            login=conn.login,
            password=conn.password,
            database=conn.schema,
            schema=conn.extra_dejson.get("mlflow_schema", "mlflow"),
        )
