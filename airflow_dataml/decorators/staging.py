"""``@task.dataset_stage``: a function whose rows, as Arrow, are staged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.bases.decorator import DecoratedOperator, task_decorator_factory

from airflow_dataml.decorators.asking import ask
from airflow_dataml.operators.staging import StagingOperator, arrow_source

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from airflow.sdk.bases.decorator import TaskDecorator
    from airflow.sdk.definitions.context import Context


class _StageDecoratedOperator(DecoratedOperator, StagingOperator):
    """Runs the decorated function for its rows and stages them."""

    template_fields: Sequence[str] = (*DecoratedOperator.template_fields, "partition_key", "branch")
    template_fields_renderers: ClassVar[dict[str, str]] = {**DecoratedOperator.template_fields_renderers}
    custom_operator_name = "@task.dataset_stage"

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
            # The decorator guesses it from the function's annotation; what leaves the task is the staged part.
            **(kwargs | {"multiple_outputs": False}),
        )

    def execute(self, context: Context) -> dict[str, Any]:
        """Ask the function for its rows and stage them."""
        self.link(context, self.dataset.name)
        rows, arguments = ask(self, context)
        origin = f"{self.python_callable.__name__}()"
        return self.stage(context, arrow_source(rows), origin=origin, arguments=arguments).to_dict()


def dataset_stage_task(python_callable: Callable[..., Any] | None = None, **kwargs: Any) -> TaskDecorator:
    """Turn a function that returns Arrow data or a dataframe into a task that stages its rows.

    A reader is taken batch by batch, so what is larger than memory may be returned as one.

    :param python_callable: the function; its arguments are those of any TaskFlow task.
    :param kwargs: those of ``StagingOperator``.
    """
    return task_decorator_factory(
        python_callable=python_callable, decorated_operator_class=_StageDecoratedOperator, **kwargs
    )
