"""Monitor reports and incidents written row by row, for what only waits for them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.integration.waiting_facts import Facts


def watched(facts: Facts, *, found: Sequence[str] = (), verdict: str = "fail", model: str = "late") -> int:
    """Write a monitor report as a monitor does; its id."""
    number = next(facts.numbers)
    findings = {"decay": [], "prediction_drift": [], "input_drift": []} | {kind: ["moved"] for kind in found}
    body = {
        "partition_key": f"2026-{number:02d}",
        "findings": findings,
        "summary": "; ".join(found) or "quiet",
    }
    facts.run(
        """INSERT INTO dataml.asset (name, kind, uri) VALUES (%s, 'model', 'dataml://model/' || %s)
           ON CONFLICT (name) DO NOTHING""",
        model, model,
    )  # fmt: skip
    run = facts.run(
        "INSERT INTO dataml.run (dag_id, run_id, task_id) VALUES ('d', %s, 'monitor') RETURNING run_key",
        f"r{number}",
    )
    return int(
        facts.run(
            """INSERT INTO dataml.report (asset_id, run_key, fact_key, kind, verdict, body)
               SELECT asset_id, %s, %s, 'monitor', %s, %s FROM dataml.asset WHERE name = %s RETURNING report_id""",
            run,
            f"monitor-{number}",
            verdict,
            json.dumps(body),
            model,
        )
    )


def trouble(
    facts: Facts, report: int, *, kind: str = "drift", severity: str = "medium", key: str = ""
) -> int:
    """Open an incident with a report; its id."""
    return int(
        facts.run(
            """INSERT INTO dataml.incident (asset_id, kind, severity, title, report_id, partition_key)
               SELECT asset_id, %s, %s, 'it moved', report_id, nullif(%s, '') FROM dataml.report WHERE report_id = %s
               RETURNING incident_id""",
            kind,
            severity,
            key,
            report,
        )
    )


def resolved(facts: Facts, incident: int) -> None:
    """Close an incident as a person does, which no notification tells of."""
    facts.run("UPDATE dataml.incident SET state = 'resolved' WHERE incident_id = %s", incident)
