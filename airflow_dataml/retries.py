"""What a retry means for each class of error, in one place."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

_ERRORS = "airflow_dataml.core.errors."

#: Refusals and mistakes fail at once; a system that did not answer is asked again in 30 seconds.
RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            exception=_ERRORS + "SpecError", action=RetryAction.FAIL, reason="what is written is wrong"
        ),
        RetryRule(exception=_ERRORS + "GateError", action=RetryAction.FAIL, reason="refused on evidence"),
        RetryRule(exception=_ERRORS + "ConflictError", action=RetryAction.FAIL, reason="the world moved"),
        RetryRule(exception=_ERRORS + "NotFoundError", action=RetryAction.FAIL, reason="it does not exist"),
        RetryRule(exception=_ERRORS + "MissingExtraError", action=RetryAction.FAIL, reason="not installed"),
        RetryRule(
            exception=_ERRORS + "BackendError",
            action=RetryAction.RETRY,
            retry_delay=timedelta(seconds=30),
            reason="a system did not answer",
        ),
    ]
)
