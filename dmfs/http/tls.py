"""Which certificate authorities are trusted: one file for API calls and for ranged GETs."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from dmfs.errors import SetupError

_SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
)


def ca_bundle(ca_file: str) -> str:
    """The file of trusted authorities: the chosen one, else the system's, else certifi's.

    SetupError if the chosen one is missing or no PEM file. The system's comes before certifi's
    because companies add their proxies' authorities there.
    """
    if ca_file:
        if not os.path.isfile(ca_file):  # noqa: PTH113 - a name too long raises in Path
            raise SetupError(
                f"the certificate file {ca_file!r} does not exist",
                hint="check SSL_CERT_FILE or ca_file",
            )
        client_context(ca_file)  # the start fails with the reason, rather than the first request
        return ca_file
    system = next((path for path in _SYSTEM_BUNDLES if Path(path).is_file()), None)
    if system is not None:
        return system
    import certifi  # noqa: PLC0415 - 6 ms, and few systems need it

    return certifi.where()


def client_context(bundle: str) -> ssl.SSLContext:
    """A verifying client context over ``bundle``. Raises SetupError if it is not a PEM file."""
    try:
        return ssl.create_default_context(cafile=bundle)
    except (ssl.SSLError, OSError) as error:
        raise SetupError(f"the certificate file {bundle!r} cannot be used: {error}") from None
