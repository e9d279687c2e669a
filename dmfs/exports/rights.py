"""Whether this sign-in may have designs exported: as far as the disk says, without a call."""

from __future__ import annotations

from dmfs.auth.factory import sign_in_mode, token_store
from dmfs.auth.tokens import CREATE_SCOPE, granted_scopes, login_hint
from dmfs.config import Settings
from dmfs.errors import AccessError


async def require_orders(settings: Settings) -> None:
    """AccessError, with the remedy, for a sign-in by which the service takes no orders."""
    store = token_store(settings)
    mode = await sign_in_mode(settings, store)
    login = login_hint(settings.profile, to_write=True)
    if mode == "app":
        raise AccessError(
            "the service exports designs for persons, and this app signs in by itself", hint=login
        )
    access_token, scopes = "", settings.scopes
    if mode == "user":
        stored = await store.read()
        if stored is None:
            raise AccessError("nobody is signed in who may have designs exported", hint=login)
        access_token, scopes = stored.sign_in.access_token, stored.sign_in.scopes
    if CREATE_SCOPE not in granted_scopes(access_token, scopes):
        if mode != "user":
            login = f"add {CREATE_SCOPE} to scopes in the configuration"
        raise AccessError(
            f"this sign-in may only read: an export is an order to the service ({CREATE_SCOPE})",
            hint=login,
        )
