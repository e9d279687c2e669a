"""Which way of signing in a configuration means, and the token source for it."""

from __future__ import annotations

import trio

from dmfs.auth.token_endpoint import App
from dmfs.auth.token_sources import NO_CREDENTIALS_HINT, ServiceAccount, TwoLegged
from dmfs.auth.token_store import TokenStore
from dmfs.auth.tokens import login_hint, may_write
from dmfs.auth.user_session import UserSession
from dmfs.auth.whose import is_of_this_app, mode_by_settings, principal_of
from dmfs.config import Settings
from dmfs.errors import SetupError, SignedOutError
from dmfs.http.json_client import JsonClient


async def sign_in_mode(settings: Settings, store: TokenStore) -> str:
    """``user``, ``app`` or ``service-account``; with ``auto``, what is configured decides.

    A sign-in of the profile comes before the app's own credentials, unless it is of another app.
    """
    decided = mode_by_settings(settings)
    if decided:
        return decided
    try:
        stored = await store.describe()
    except SignedOutError:
        return "user"  # there is one that cannot be used: a later error says why
    return "user" if is_of_this_app(stored, settings) else "app"


def token_store(settings: Settings) -> TokenStore:
    """The store of this profile's sign-in."""
    return TokenStore(settings.state_dir, settings.profile)


async def principal(settings: Settings) -> str:
    """The user whose tokens a drive will use, as far as the disk says: one person's listings are
    not another's, though both use the same profile. '' if no person is signed in."""
    store = token_store(settings)
    if await sign_in_mode(settings, store) != "user":
        return ""
    try:
        stored = await store.describe()
    except SignedOutError:
        return ""  # a later error will say why
    return principal_of(stored)


async def needs_person(settings: Settings) -> bool:
    """Whether tokens are a person's, as against the app's own."""
    return await sign_in_mode(settings, token_store(settings)) == "user"


async def sign_in_may_write(settings: Settings) -> bool:
    """Whether this profile's sign-in has the scopes for writing, as far as the disk says: no call.
    SignedOutError for a sign-in that cannot be used; False if nobody is signed in."""
    store = token_store(settings)
    if await sign_in_mode(settings, store) != "user":
        return may_write("", settings.scopes)
    stored = await store.read()
    return stored is not None and may_write(stored.sign_in.access_token, stored.sign_in.scopes)


async def token_source(
    settings: Settings, json_client: JsonClient, nursery: trio.Nursery, *, to_write: bool = False
) -> UserSession | TwoLegged | ServiceAccount:
    """The source for this configuration; its requests and refreshes run in ``nursery``.
    ``to_write``: what a person is told to sign in for.

    AccessError or SetupError at once if it cannot.
    """
    store = token_store(settings)
    mode = await sign_in_mode(settings, store)
    if settings.x_user_id and mode != "app":
        raise SetupError("x_user_id goes with the app's own credentials", hint='sign_in = "app"')
    if mode == "app":
        app = App(settings.client_id, settings.client_secret)
        return TwoLegged(json_client, nursery, app, settings.scopes)
    if mode == "service-account":
        return ServiceAccount(
            json_client,
            nursery,
            App(settings.client_id, settings.client_secret),
            settings.scopes,
            key_file=settings.key_file,
            key_id=settings.key_id,
            account_id=settings.account_id,
        )
    session = user_session(settings, json_client, nursery, store)
    if await store.describe() is None:
        raise _signed_out(settings, to_write=to_write)
    nursery.start_soon(session.keep_alive)
    return session


def user_session(
    settings: Settings, json_client: JsonClient, nursery: trio.Nursery, store: TokenStore
) -> UserSession:
    """The person's sign-in of this profile."""
    return UserSession(
        json_client, store, nursery, api_url=settings.api_url, client_id=settings.client_id
    )


def _signed_out(settings: Settings, *, to_write: bool) -> SignedOutError:
    if settings.profile == "default" and not settings.client_id:
        return SignedOutError("no client id is configured", hint=NO_CREDENTIALS_HINT)
    return SignedOutError(
        f"nobody is signed in with profile {settings.profile!r}",
        hint=login_hint(settings.profile, to_write=to_write),
    )


async def user_id_of(settings: Settings) -> str:
    """The service's id of the user that signs in, as far as the disk says; '' if it does not."""
    store = token_store(settings)
    if await sign_in_mode(settings, store) != "user":
        return settings.x_user_id
    stored = await store.read()
    return "" if stored is None else stored.sign_in.user_id
