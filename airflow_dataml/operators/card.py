"""The operator that writes the card of a model version and keeps it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from airflow_dataml.core.card_document import CardFormat
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.facets import outcome, parameters
from airflow_dataml.core.model_controls import ControlPolicy
from airflow_dataml.operators.base import DataMLOperator, authored, refuse_branch
from airflow_dataml.operators.facets import Declared
from airflow_dataml.steps.card import card_facts, keep_card

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk.definitions.context import Context


class ModelCardOperator(DataMLOperator):
    """Write the card of a model version from what the ledger knows, and keep it as a report with its digest.

    The verdict is ``fail`` where evidence is missing that a model of its importance must have; the card says what
    to do. It does not fail the task. Refused in a run on a branch.

    :param version: the version, ``name@number``; of a bare name the champion, else the newest. Templated.
    :param format: ``markdown``, ``html`` or ``json``.
    :param path: a file to write the card to as well, on the worker; a retry writes the same text. Templated.
    :param controls: which evidence each importance needs (``ControlPolicy``, or its fields).
    """

    template_fields: Sequence[str] = ("version", "path", "controls")

    def __init__(
        self,
        *,
        version: Any,
        format: CardFormat = "markdown",
        path: str | None = None,
        controls: ControlPolicy | dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(**kwargs)
        if format not in get_args(CardFormat):
            msg = f"format {format!r} of a card is not known: give one of {', '.join(get_args(CardFormat))}."
            raise SpecError(msg)
        self.version = version
        self.format = format
        self.path = path
        self.controls = controls

    def declares(self) -> Declared:
        """Return the model."""
        return Declared.of_model("DOCUMENTATION", self.version)

    def execute(self, context: Context) -> dict[str, Any]:
        """Write and keep the card; return the report's id, its verdict, the digest and what is missing."""
        from airflow_dataml.adapters.postgres.reading_models import ModelReading

        name = str(self.version).partition("@")[0]
        refuse_branch(context, f"the card of {name!r}")
        self.link(context, name)
        policy = authored(ControlPolicy, self.controls)
        with self.ledger() as ledger:
            facts = card_facts(ledger=ledger, ref=str(self.version))
            facts = replace(facts, **ModelReading(ledger.connection).beside(facts.version))
            report = keep_card(
                ledger=ledger, identity=self.identity(context), facts=facts, form=self.format, policy=policy
            )
            body = report.body
            found = outcome("required controls", report.verdict, type="governance", actual=body["summary"])
            self.tell(
                ledger,
                read=[body["version"]],
                tests=(found,),
                parameters=parameters(policy.model_dump(mode="json")),
            )
        if self.path:
            _write(Path(self.path), body["card"])
        self.link(context, report.asset, report=report.report_id)
        missing = [one["control"] for one in body["controls"]["results"] if not one["present"]]
        kept = {key: body[key] for key in ("version", "digest", "summary")}
        return kept | {"report": report.report_id, "verdict": report.verdict, "missing": missing}


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as err:
        msg = f"the card cannot be written to {str(path)!r} ({err.strerror}): give the path of a file this worker may write."
        raise SpecError(msg) from err
