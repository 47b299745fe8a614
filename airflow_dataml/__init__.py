"""airflow_dataml: DataOps and MLOps as one platform inside Apache Airflow."""
