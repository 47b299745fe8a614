"""Who may change something: a user with edit permission, from Airflow's own page or with a token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_asset
from fastapi import Depends, HTTPException, Request

if TYPE_CHECKING:
    from airflow.api_fastapi.auth.managers.models.base_user import BaseUser

# What a browser says of where a request comes from; "none" is a person's own doing.
_OURS = ("same-origin", "none")


def from_our_page(request: Request) -> None:
    """Refuse what another site lets a signed-in browser send.

    Airflow's session is a cookie that browsers keep from other sites (``SameSite=Lax``), and JSON cannot be
    sent across sites unasked. This does not rest on the first, which a proxy may rewrite.
    """
    if request.headers.get("sec-fetch-site", "none") not in _OURS:
        raise HTTPException(403, "This can be asked from Airflow's own page only.")
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        raise HTTPException(415, "Send JSON, with the content type application/json.")


def _name(user: GetUserDep) -> str:
    return user_name(user)


def user_name(user: BaseUser) -> str:
    """Return how the auth manager names a user."""
    return str(user.get_name() or user.get_id())


Actor = Annotated[str, Depends(_name)]
EDITS = [Depends(requires_access_asset("PUT")), Depends(from_our_page)]
