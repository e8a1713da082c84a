"""The platform's side of webhooks, made with cryptography alone, so that our own signing cannot prove itself right."""

from __future__ import annotations

import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from qqproto import Credentials

NOW = 1_725_442_341.0
CREDENTIALS = Credentials("11111111", "DG5g3B4j9X2KOErG")


def doubled(secret: str) -> bytes:
    """The seed as the documentation makes it (sign.html)."""
    seed = secret.encode()
    while len(seed) < 32:
        seed = seed * 2
    return seed[:32]


def private_key(secret: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(doubled(secret))


def sign(body: bytes, timestamp: str, secret: str = CREDENTIALS.secret) -> str:
    return private_key(secret).sign(timestamp.encode() + body).hex()


def headers_of(
    body: bytes, *, secret: str = CREDENTIALS.secret, at: float = NOW, app_id: str = CREDENTIALS.app_id
) -> dict[str, str]:
    """The headers of a request that the platform has signed."""
    timestamp = str(int(at))
    return {
        "User-Agent": "QQBot-Callback",
        "X-Bot-Appid": app_id,
        "X-Signature-Method": "Ed25519",
        "X-Signature-Ed25519": sign(body, timestamp, secret),
        "X-Signature-Timestamp": timestamp,
    }


def encoded(message: Any) -> bytes:
    return json.dumps(message, ensure_ascii=False).encode()
