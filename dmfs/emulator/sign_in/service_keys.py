"""Public keys of service accounts; RS256 is verified with the standard library."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

_SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


@dataclass(frozen=True, slots=True)
class Key:
    """A service account's public key: ``modulus`` and ``exponent`` of RSA."""

    account_id: str
    client_id: str
    modulus: int
    exponent: int


def verifies(key: Key, signed: bytes, signature: bytes) -> bool:
    """RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 8.2.2): rebuild the padded digest, compare."""
    size = (key.modulus.bit_length() + 7) // 8
    if len(signature) != size:
        return False
    opened = pow(int.from_bytes(signature, "big"), key.exponent, key.modulus)
    digest = _SHA256_INFO + hashlib.sha256(signed).digest()
    padded = b"\0\1" + b"\xff" * (size - len(digest) - 3) + b"\0" + digest
    return hmac.compare_digest(opened.to_bytes(size, "big"), padded)
