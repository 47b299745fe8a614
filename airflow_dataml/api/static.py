"""The page's script: modules as files, at an address that carries their content.

The digest stands in the path and not behind a question mark, so that a module which imports
``./words.js`` gets that of the same release without anybody rewriting it.
"""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from airflow_dataml.api.modules import digest, sources

_DAY_S = 86_400
router = APIRouter()


@router.get("/static/{release}/{module}", include_in_schema=False)
def script(release: str, module: str) -> Response:
    """Return a module of the page; a browser may keep it, unless it asked for another release's."""
    source = sources().get(module)
    if source is None:
        return JSONResponse({"detail": f"The page has no module {module!r}."}, status_code=404)
    kept = f"private, max-age={_DAY_S}" if release == digest() else "no-store"
    return Response(source, media_type="text/javascript", headers={"Cache-Control": kept})
