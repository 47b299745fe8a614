"""The boundary: what deltalake, pyarrow and object stores raise becomes one of our errors."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_dataml.core.errors import NotFoundError, SpecError, StaleVersionError, WarehouseError
from airflow_dataml.core.extras import load

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_SECRET = re.compile(r"key|secret|token|password|credential|sas|signature", re.IGNORECASE)
_LONGEST = 400


@contextmanager
def translated(uri: str, options: Mapping[str, str]) -> Iterator[None]:
    """Translate what goes wrong with a Delta table; the values of secret options are not repeated.

    :raises StaleVersionError: another writer's commit came in between.
    :raises NotFoundError: no table, or a file of it, is there.
    :raises SpecError: the table cannot hold rows of this schema.
    :raises WarehouseError: the storage did not answer, or anything else; a retry may help.
    """
    exceptions = load("deltalake.exceptions", extra="delta")
    pyarrow = load("pyarrow", extra="delta")
    try:
        yield
    except exceptions.CommitFailedError as err:
        msg = f"another writer committed to the Delta table {uri} in between ({said(err, options)}); nothing was published. Run the task again."
        raise StaleVersionError(msg) from err
    except (exceptions.TableNotFoundError, FileNotFoundError) as err:
        msg = f"the Delta table {uri}, or a file of it, is not there: {said(err, options)}"
        raise NotFoundError(msg) from err
    except exceptions.SchemaMismatchError as err:
        msg = f"the Delta table {uri} has another schema: {said(err, options)}"
        raise SpecError(msg) from err
    except (exceptions.DeltaError, pyarrow.ArrowException, OSError) as err:
        msg = f"the Delta table {uri} did not do as it was told: {said(err, options)}"
        raise WarehouseError(msg) from err


def said(err: Exception, options: Mapping[str, str]) -> str:
    """What the vendor said, in one line without colours and secrets."""
    text = " ".join(_ANSI.sub("", str(err)).split())
    for name, value in options.items():
        if _SECRET.search(name) and value:
            text = text.replace(value, "***")
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " ..."
