"""``@task.model_monitor``: a function that decides how a batch is watched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.bases.decorator import DecoratedOperator, task_decorator_factory

from airflow_dataml.core.errors import NotFoundError, SpecError
from airflow_dataml.core.monitor_policy import MonitorPolicy
from airflow_dataml.decorators.asking import ask
from airflow_dataml.operators.monitoring import ModelMonitorOperator

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from airflow.sdk.bases.decorator import TaskDecorator
    from airflow.sdk.definitions.context import Context


class _MonitorDecoratedOperator(DecoratedOperator, ModelMonitorOperator):
    """Runs the decorated function for its policy, then the monitor."""

    template_fields: Sequence[str] = (
        *DecoratedOperator.template_fields,
        *ModelMonitorOperator.template_fields,
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {**DecoratedOperator.template_fields_renderers}
    custom_operator_name = "@task.model_monitor"
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
            # The decorator guesses it from the function's annotation; what leaves the task is the verdict.
            **(kwargs | {"multiple_outputs": True}),
        )

    def execute(self, context: Context) -> dict[str, Any]:
        """Ask the function for its policy and observe the batch by it."""
        said, _ = ask(self, context)
        if said is not None and not isinstance(said, Mapping | MonitorPolicy):
            msg = (
                f"{self.python_callable.__name__} returned {said!r}: @task.model_monitor expects a MonitorPolicy, a "
                "mapping of its fields, or nothing."
            )
            raise SpecError(msg)
        if isinstance(said, Mapping):
            fields = tuple(MonitorPolicy.model_fields)
            for name in said:
                if name not in fields:
                    what = "field of a monitor policy"
                    raise SpecError(str(NotFoundError.from_available(what, str(name), fields)))
            said = dict(said)
        self.policy = said if said is not None else self.policy
        return ModelMonitorOperator.execute(self, context)


def model_monitor_task(python_callable: Callable[..., Any] | None = None, **kwargs: Any) -> TaskDecorator:
    """Turn a function that returns a monitor policy into a task that watches a scored batch by it.

    :param python_callable: returns a ``MonitorPolicy``, a mapping of its fields, or nothing for the ``policy`` of the
        task.
    :param kwargs: those of ``ModelMonitorOperator``.
    """
    return task_decorator_factory(
        python_callable=python_callable, decorated_operator_class=_MonitorDecoratedOperator, **kwargs
    )
