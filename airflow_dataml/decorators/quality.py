"""``@task.quality_check``: a function that returns a contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.bases.decorator import DecoratedOperator, task_decorator_factory
from airflow.sdk.definitions._internal.types import SET_DURING_EXECUTION

from airflow_dataml.core.errors import NotFoundError, SpecError
from airflow_dataml.decorators.asking import ask
from airflow_dataml.operators.quality import QualityCheckOperator

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from airflow.sdk.bases.decorator import TaskDecorator
    from airflow.sdk.definitions.context import Context

#: What a function may decide when it runs.
_SAID = ("contract", "data_timestamp", "on_fail", "scope", "timeout", "variables", "version")


class _QualityDecoratedOperator(DecoratedOperator, QualityCheckOperator):
    """Runs the decorated function for its contract, then the check."""

    template_fields: Sequence[str] = (
        *DecoratedOperator.template_fields,
        *QualityCheckOperator.template_fields,
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {**DecoratedOperator.template_fields_renderers}
    custom_operator_name = "@task.quality_check"
    overwrite_rtif_after_execution = True

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            python_callable=python_callable,
            op_args=op_args,
            op_kwargs=op_kwargs,
            contract=SET_DURING_EXECUTION,
            # The decorator guesses it from the function's annotation; what leaves the task is the verdict.
            **(kwargs | {"multiple_outputs": True}),
        )

    def execute(self, context: Context) -> dict[str, Any]:
        """Ask the function for its contract and run it."""
        said, _ = ask(self, context)
        said = {"contract": said} if isinstance(said, str) else said
        if not isinstance(said, Mapping) or not str(said.get("contract") or "").strip():
            msg = (
                f"{self.python_callable.__name__} returned {said!r}: @task.quality_check expects a contract's path or "
                "text, or a mapping with 'contract' and what else it decides."
            )
            raise SpecError(msg)
        for name, value in said.items():
            if name not in _SAID:
                raise SpecError(str(NotFoundError.from_available("argument of a quality check", name, _SAID)))
            setattr(self, name, value)
        return QualityCheckOperator.execute(self, context)


def quality_check_task(python_callable: Callable[..., Any] | None = None, **kwargs: Any) -> TaskDecorator:
    """Turn a function that returns a contract into a task that runs it.

    :param python_callable: returns the path of a Soda contract file, its text, or a mapping of ``contract``
        and any of ``variables``, ``version``, ``scope``, ``data_timestamp``, ``timeout`` and ``on_fail``.
    :param kwargs: those of ``QualityCheckOperator`` but ``contract``.
    """
    return task_decorator_factory(
        python_callable=python_callable, decorated_operator_class=_QualityDecoratedOperator, **kwargs
    )
