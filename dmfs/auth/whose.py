"""Which way of signing in a configuration means, and whose tokens it has. Without a loop: a command
that finds its answer on the disk has no use for one."""

from __future__ import annotations

from dmfs.auth.token_file import TokenFile
from dmfs.auth.tokens import StoredSignIn, decode, login_hint
from dmfs.config import Settings
from dmfs.errors import SignedOutError


def mode_by_settings(settings: Settings) -> str:
    """``user``, ``app`` or ``service-account``; '' where the profile's sign-in decides."""
    if settings.sign_in != "auto":
        return settings.sign_in
    if settings.key_file:
        return "service-account"
    if settings.x_user_id:
        return "app"  # two-legged by its nature
    return "" if settings.client_secret else "user"


def is_of_this_app(stored: StoredSignIn | None, settings: Settings) -> bool:
    """Whether a stored sign-in is one to the app that is configured."""
    return stored is not None and (stored.sign_in.client_id, stored.sign_in.api_url) == (
        settings.client_id,
        settings.api_url,
    )


def principal_of(stored: StoredSignIn | None) -> str:
    """The user of a sign-in; '' without one."""
    if stored is None:
        return ""
    return stored.sign_in.user_id or f"signed in at {stored.sign_in.signed_in_s}"


def principal_on_disk(settings: Settings) -> str:
    """As ``factory.principal``; blocks."""
    mode = mode_by_settings(settings)
    if mode not in ("", "user"):
        return ""
    file = TokenFile(settings.state_dir, settings.profile)
    try:
        text = file.read()
        stored = None if text is None else decode(text, "", login_hint(settings.profile))
    except SignedOutError:
        return ""  # who asks the service learns why
    if not mode and not is_of_this_app(stored, settings):
        return ""
    return principal_of(stored)
