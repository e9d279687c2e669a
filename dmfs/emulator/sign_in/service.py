"""What the handlers of the sign-in service share."""

from __future__ import annotations

from dataclasses import dataclass, field

from dmfs.emulator.http.rate_limits import Limits
from dmfs.emulator.settings import Origins, Settings
from dmfs.emulator.sign_in.service_keys import Key
from dmfs.emulator.sign_in.sessions import Sessions
from dmfs.emulator.sign_in.tokens import Tokens


@dataclass
class SignIn:
    """Tokens, sessions and the public keys of service accounts."""

    settings: Settings
    limits: Limits
    origins: Origins
    service_keys: dict[str, Key] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tokens = Tokens(self.settings)
        self.sessions = Sessions(self.settings)
