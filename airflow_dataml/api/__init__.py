"""Read-only FastAPI application behind Airflow's auth manager."""
