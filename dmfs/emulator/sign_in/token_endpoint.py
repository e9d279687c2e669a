"""``POST /authentication/v2/token``: authenticates the app and dispatches to a grant."""

from __future__ import annotations

from collections.abc import Callable

from dmfs.emulator.http import errors
from dmfs.emulator.http.messages import Answer, Request
from dmfs.emulator.sign_in import grants, service_accounts
from dmfs.emulator.sign_in.apps import App, client_of
from dmfs.emulator.sign_in.service import SignIn

GRANTS: dict[str, Callable[[SignIn, App, dict[str, str]], Answer]] = {
    "client_credentials": grants.client_credentials,
    "authorization_code": grants.authorization_code,
    "refresh_token": grants.refresh_token,
    service_accounts.GRANT_TYPE: service_accounts.jwt_bearer,
}
"""By grant_type."""


async def token(service: SignIn, request: Request, args: list[str]) -> Answer:
    """The tokens of a grant; the gateway's 429 where the app has used up its quota."""
    form = request.form()
    app = client_of(request, form)
    request.client_id = app.client_id
    retry_after_s = service.limits.retry_after_s(app.client_id, "token")
    if retry_after_s is not None:
        return errors.quota(retry_after_s)
    grant = GRANTS.get(form.get("grant_type", ""))
    if grant is None:
        return errors.oauth(400, "unsupported_grant_type", "The grant type is not supported.")
    return grant(service, app, form)
