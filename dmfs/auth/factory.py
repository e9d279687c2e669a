"""Which way of signing in a configuration means. Floor 1."""

from __future__ import annotations

import trio

from dmfs.auth.token_endpoint import App
from dmfs.auth.token_sources import NO_CREDENTIALS_HINT, ServiceAccount, TokenSource, TwoLegged
from dmfs.auth.token_store import TokenStore
from dmfs.auth.tokens import login_hint
from dmfs.auth.user_session import UserSession
from dmfs.config import Settings
from dmfs.errors import SetupError, SignedOutError
from dmfs.http.json_client import JsonClient


async def kind_of(settings: Settings, store: TokenStore) -> str:
    """``user``, ``app`` or ``service-account``; with ``auto``, what there is decides.

    A sign-in of the profile comes before the app's own credentials, unless it is of another app.
    """
    if settings.sign_in != "auto":
        return settings.sign_in
    if settings.key_file:
        return "service-account"
    if settings.x_user_id:
        return "app"  # two-legged by its nature
    if not settings.client_secret:
        return "user"
    try:
        kept = await store.describe()
    except SignedOutError:
        return "user"  # there is one, though it cannot be used: its own error tells why
    ours = kept is not None and (kept.sign_in.client_id, kept.sign_in.api_url) == (
        settings.client_id,
        settings.api_url,
    )
    return "user" if ours else "app"


def token_store(settings: Settings) -> TokenStore:
    """Where this profile's sign-in is kept."""
    return TokenStore(settings.state_dir, settings.profile)


async def principal(settings: Settings) -> str:
    """Whose tokens a drive will use, as far as is known without asking: one person's listings are
    not another's, though both use the same profile. '' where it is not a person, or nobody."""
    store = token_store(settings)
    if await kind_of(settings, store) != "user":
        return ""
    try:
        kept = await store.describe()
    except SignedOutError:
        return ""  # its own error will tell why
    if kept is None:
        return ""
    return kept.sign_in.user_id or f"signed in at {kept.sign_in.signed_in_s}"


async def token_source(settings: Settings, wire: JsonClient, nursery: trio.Nursery) -> TokenSource:
    """How this configuration signs in; a person's sign-in is kept alive in ``nursery``.

    AccessError or SetupError at once if it cannot.
    """
    store = token_store(settings)
    kind = await kind_of(settings, store)
    if settings.x_user_id and kind != "app":
        raise SetupError("x_user_id goes with the app's own credentials", hint='sign_in = "app"')
    if kind == "app":
        return TwoLegged(wire, settings.client_id, settings.client_secret, settings.scopes)
    if kind == "service-account":
        return ServiceAccount(
            wire,
            App(settings.client_id, settings.client_secret),
            settings.scopes,
            key_file=settings.key_file,
            key_id=settings.key_id,
            account_id=settings.account_id,
        )
    session = user_session(settings, wire, nursery, store)
    if await store.describe() is None:
        raise _nobody(settings)
    nursery.start_soon(session.keep_alive)
    return session


def user_session(
    settings: Settings, wire: JsonClient, nursery: trio.Nursery, store: TokenStore
) -> UserSession:
    """The person's sign-in of this profile."""
    return UserSession(wire, store, nursery, api_url=settings.api_url, client_id=settings.client_id)


def _nobody(settings: Settings) -> SignedOutError:
    if settings.profile == "default" and not settings.client_id:
        return SignedOutError("no client id is configured", hint=NO_CREDENTIALS_HINT)
    return SignedOutError(
        f"nobody is signed in with profile {settings.profile!r}",
        hint=login_hint(settings.profile),
    )
