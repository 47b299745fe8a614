"""Calling a decorated function while its task runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import context_merge, determine_kwargs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk.bases.decorator import DecoratedOperator
    from airflow.sdk.definitions.context import Context


def ask(operator: DecoratedOperator, context: Context) -> tuple[Any, Mapping[str, Any]]:
    """Return what a task's function says, and what it was given of the context by the names of its arguments."""
    context_merge(context, operator.op_kwargs)
    arguments = determine_kwargs(operator.python_callable, operator.op_args, context)
    return operator.python_callable(*operator.op_args, **arguments), arguments
