"""The names the flights DAGs share: datasets, the model, its policies."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

from airflow_dataml.assets import dataset, model, retrain

HERE = Path(__file__).parent
LANDING = os.environ.get("DATAML_LANDING", str(HERE.parent / ".state" / "landing"))
LAKE = os.environ.get("DATAML_LAKE", str(HERE.parent / ".state" / "lake"))

flights = dataset(
    "flights", owner="data", importance="high", description="Flights out of New York, one row per flight."
)
weather = dataset("weather", owner="data", description="Hourly weather at the three airports.")
planes = dataset("planes", owner="data", description="Register of planes by tail number.")
airports = dataset("airports", owner="data", description="Airports by FAA code.")
flight_features = dataset(
    "flight_features",
    owner="ml",
    importance="high",
    description="What is known when a flight leaves the gate.",
)
flight_delay = model(
    "flight_delay",
    owner="ml",
    importance="high",
    description="Will the flight arrive more than 15 minutes late?",
    documentation=(
        "For the boards at the gates of the three airports of New York: read when a flight leaves the gate. "
        "Not for planning crews, nor for airports it has not seen."
    ),
)
flight_delay_retrain = retrain("flight_delay")
flight_predictions = dataset(
    "flight_predictions", kind="prediction", owner="ml", description="Scores of flight_delay."
)
flight_delay_hard = dataset(
    "flight_delay_hard",
    owner="ml",
    description="Flights that flight_delay got surely wrong, or is in doubt of.",
)

daily_delays = dataset(
    "daily_delays",
    owner="data",
    description="Delays of a day at each of the three airports.",
    layout={
        "keys": ["day", "origin"],
        "column_comments": {"late_share": "Share of arrivals over 15 minutes late."},
    },
)
daily_delays_lake = dataset(
    "daily_delays_lake", uri=f"{LAKE}/daily_delays", owner="data", description="The same as a Delta table."
)
weather_hours = dataset(
    "weather_hours",
    owner="data",
    description="Hourly weather, its impossible rows set aside.",
    layout={"indexes": [{"columns": ["origin", "time_hour"]}]},
)

FLIGHT_KEY = ["year", "month", "day", "carrier", "flight", "origin", "dest", "sched_dep_time"]
RETRIES = {"retries": 2, "retry_delay": timedelta(seconds=5)}


def month_end(partition_key: str) -> str:
    """End of a batch as ISO time; batches are months, ``2013-09``."""
    month = datetime.fromisoformat(f"{partition_key}-01T00:00:00+00:00")
    return (month + timedelta(days=32)).replace(day=1).isoformat()
