"""The sign-in and consent page: plain HTML forms, no script, so that any browser can be driven."""

from __future__ import annotations

from html import escape

from dmfs.emulator.http.messages import Answer, bytes_answer
from dmfs.emulator.sign_in.sessions import USERS, AuthorizationRequest

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>body{{font:16px sans-serif;max-width:32em;margin:3em auto}}button{{font:inherit}}</style>
</head><body><h1>{title}</h1>
{body}
</body></html>
"""


def page(title: str, body: str, status: int = 200) -> Answer:
    text = _PAGE.format(title=escape(title), body=body)
    return bytes_answer(text.encode(), "text/html; charset=utf-8", status)


def refusal(text: str) -> Answer:
    """A request that must not be sent back to its redirect_uri, since that cannot be trusted."""
    return page("Autodesk emulator: this request cannot be answered", f"<p>{escape(text)}</p>", 400)


def consent(request_id: str, request: AuthorizationRequest, signed_in: str) -> Answer:
    """The form: choice of a user unless one is signed in, and consent to the app's scopes."""
    scopes = "".join(f"<li>{escape(scope)}</li>" for scope in sorted(request.scopes))
    if signed_in:
        user_field = (
            f'<p id="user">Signed in as {escape(USERS[signed_in].name)}.</p>'
            f'<input type="hidden" name="user" value="{escape(signed_in)}">'
        )
    else:
        user_field = "<p>Sign in as</p>" + "".join(
            f'<p><label><input type="radio" name="user" value="{user.id}"'
            f"{' checked' if number == 0 else ''}> {escape(user.name)}</label></p>"
            for number, user in enumerate(USERS.values())
        )
    body = (
        f'<form method="post" action="/authentication/v2/authorize">'
        f'<input type="hidden" name="question" value="{escape(request_id)}">{user_field}'
        f"<p>The app <b>{escape(request.app.client_id)}</b> asks for:</p><ul>{scopes}</ul>"
        '<button id="allow" name="answer" value="allow">Allow</button> '
        '<button id="deny" name="answer" value="deny">Deny</button></form>'
    )
    return page("Autodesk emulator: sign in", body)
