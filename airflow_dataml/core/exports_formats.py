"""Every format behind one function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataml.core import (
    exports_croissant,
    exports_datahub,
    exports_dcat,
    exports_frictionless,
    exports_odcs,
    exports_openmetadata,
    exports_unity,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.core.exports import (
        ExportedAsset,
        ExportFormat,
        ExportSettings,
        Rendered,
        RowsFile,
    )

_PLAIN = {
    "odcs": exports_odcs.render,
    "datahub": exports_datahub.render,
    "openmetadata": exports_openmetadata.render,
    "unity": exports_unity.render,
}
_WITH_ROWS = {
    "croissant": exports_croissant.render,
    "dcat": exports_dcat.render,
    "frictionless": exports_frictionless.render,
}


def render(
    format: ExportFormat,
    assets: Sequence[ExportedAsset],
    settings: ExportSettings,
    files: Mapping[str, RowsFile] | None = None,
) -> Rendered:
    """Return assets in a format.

    :param files: rows that were written out, by asset; for the formats that point at them.
    """
    if plain := _PLAIN.get(format):
        return plain(assets, settings)
    return _WITH_ROWS[format](assets, settings, files or {})
