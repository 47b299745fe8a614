"""The story of one model on a real Airflow: the code behind ``dev/demo``."""
