"""``@task.dataset_transform``: a function that returns the SQL of a transform."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.bases.decorator import DecoratedOperator, task_decorator_factory
from airflow.sdk.definitions._internal.types import SET_DURING_EXECUTION

from airflow_dataml.core.errors import SpecError
from airflow_dataml.decorators.asking import ask
from airflow_dataml.operators.datasets import DatasetTransformOperator

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from airflow.sdk.bases.decorator import TaskDecorator
    from airflow.sdk.definitions.context import Context


class _TransformDecoratedOperator(DecoratedOperator, DatasetTransformOperator):
    """Runs the decorated function for its SQL, then the transform."""

    template_fields: Sequence[str] = (
        *DecoratedOperator.template_fields,
        *DatasetTransformOperator.template_fields,
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **DecoratedOperator.template_fields_renderers,
        **DatasetTransformOperator.template_fields_renderers,
    }
    custom_operator_name = "@task.dataset_transform"
    overwrite_rtif_after_execution = True

    def __init__(
        self,
        *,
        python_callable: Callable[..., str],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            python_callable=python_callable,
            op_args=op_args,
            op_kwargs=op_kwargs,
            sql=SET_DURING_EXECUTION,
            # The decorator guesses it from the function's annotation; what leaves the task is the staged part.
            **(kwargs | {"multiple_outputs": False}),
        )

    def execute(self, context: Context) -> dict[str, Any]:
        """Ask the function for its SQL and stage the result."""
        sql, _ = ask(self, context)
        if not isinstance(sql, str) or not sql.strip():
            msg = f"{self.python_callable.__name__} returned {sql!r}: @task.dataset_transform expects the SQL of a SELECT."
            raise SpecError(msg)
        self.sql = sql
        self.render_template_fields(context)
        return DatasetTransformOperator.execute(self, context)


def dataset_transform_task(python_callable: Callable[..., Any] | None = None, **kwargs: Any) -> TaskDecorator:
    """Turn a function that returns a SELECT into a task that stages its result.

    :param python_callable: the function; its arguments are those of any TaskFlow task.
    :param kwargs: those of ``DatasetTransformOperator`` but ``sql``.
    """
    return task_decorator_factory(
        python_callable=python_callable, decorated_operator_class=_TransformDecoratedOperator, **kwargs
    )
