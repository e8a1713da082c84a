"""What can go wrong between this process and the platform, as values."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class FailureKind(enum.Enum):
    """What kind of thing failed, so that a proxy is told from a certificate without importing either's library."""

    DNS = "dns"
    REFUSED = "refused"
    RESET = "reset"
    EOF = "eof"
    TIMEOUT = "timeout"
    TLS_UNTRUSTED = "tls-untrusted"
    TLS = "tls"
    PROXY = "proxy"
    PROXY_AUTH = "proxy-auth"
    HTTP_STATUS = "http-status"
    RATE_LIMITED = "rate-limited"
    OTHER = "other"


@dataclass(slots=True)
class Failure:
    """One failure of the network, of a proxy or of an HTTP exchange; made by a driver's table of exceptions or by the
    core.

    ``message`` is for people and never holds a secret. ``http_status`` is the status line's number when there was one.
    ``code`` is the platform's own error number (``err_code``, else ``code``) when the reply carried its JSON error
    body, and only then is a reply a verdict on credentials. ``retry_after`` is a span in seconds from now, as the
    other side asked for it.
    """

    kind: FailureKind
    message: str = ""
    http_status: int | None = None
    code: int | None = None
    retry_after: float | None = None

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.message}" if self.message else self.kind.value
