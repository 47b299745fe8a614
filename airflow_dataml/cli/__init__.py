"""The command line: ``dataml`` and ``airflow dataml``."""
