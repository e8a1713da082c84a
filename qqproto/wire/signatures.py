"""Ed25519 as the platform uses it on webhooks: one key pair out of the AppSecret, for both directions.

Needs the package cryptography, which is imported when a key is made and not before.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SIGNATURE = re.compile("[0-9a-fA-F]{128}")
"""The form of a signature in a header: 64 bytes in hexadecimal."""

_SEED = 32


def seed_of(secret: str) -> bytes:
    """The Ed25519 seed that belongs to an AppSecret: its bytes over and over, cut after 32 (sign.html).

    The documentation doubles the secret until it is long enough, which comes to the same for every length.

    >>> seed_of("DG5g3B4j9X2KOErG")
    b'DG5g3B4j9X2KOErGDG5g3B4j9X2KOErG'
    """
    raw = secret.encode("utf-8", "surrogatepass")
    return (raw * (_SEED // len(raw) + 1))[:_SEED]


class SigningKey:
    """The key pair of a bot. Whoever has the secret can sign in the platform's name, and that is meant so: the platform
    signs events with it, and the bot shows with it, in its answer to a validation, that the address is its own.

    Raises ImportError, in one sentence, without cryptography.
    """

    __slots__ = ("_private", "_public")

    def __init__(self, secret: str) -> None:
        self._private = _private_key(seed_of(secret))
        self._public = self._private.public_key()

    def sign(self, timestamp: str, content: bytes) -> str:
        """The signature of what is sent at a time, in hexadecimal."""
        return self._private.sign(timestamp.encode() + content).hex()

    def verifies(self, signature: str, timestamp: str, content: bytes) -> bool:
        """Whether ``signature``, 128 hexadecimal digits, is that of ``content`` at this ``timestamp``.

        No secret takes part in the decision, so that how long it takes tells nothing.
        """
        from cryptography.exceptions import InvalidSignature

        raw = bytes.fromhex(signature)
        if raw[63] & 0xE0:
            # sign.html asks for this check; such a number is beyond the order of the group in any case.
            return False
        try:
            self._public.verify(raw, timestamp.encode() + content)
        except InvalidSignature:
            return False
        return True


def _private_key(seed: bytes) -> Ed25519PrivateKey:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError as error:
        raise ImportError("webhooks need cryptography: python -m pip install 'qqproto[webhook]'") from error
    return Ed25519PrivateKey.from_private_bytes(seed)
