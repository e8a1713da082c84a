"""Whose certificate a server shows, and what is wrong with one that is not trusted."""

from __future__ import annotations

import functools
import ssl
import time
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID

from qqproto_transports._cli_print import shorten

# OpenSSL's X509_V_ERR_*, which Python gives as `verify_code` (x509_vfy.h).
NOT_YET_VALID, EXPIRED = 9, 10
UNKNOWN_ISSUER = frozenset((2, 18, 19, 20, 21))
"""Unknown issuers, certificates that signed themselves, and chains that lead to one."""
OTHER_NAME = frozenset((62, 63, 64))

_DAY = 86_400.0
_SOON = 14 * _DAY


@dataclass(slots=True)
class Certificate:
    """What a certificate says of itself. Times are Unix times."""

    subject: str
    issuer: str
    not_before: float
    not_after: float

    def describe(self, now: float) -> str:
        """For people: whose it is, who signed it, and how long it is good for."""
        left = self.not_after - now
        days = f"{left / _DAY:.0f} days" if left >= 2 * _DAY else f"{max(left, 0.0) / 3600:.0f} h"
        until = f"until {day(self.not_after)}" + (f", {days} left" if 0 <= left < _SOON else "")
        return f"certificate of {self.subject}, signed by {self.issuer}, {until}"


def read_certificate(der: bytes) -> Certificate | None:
    """A certificate in DER, None if it cannot be read: a server may show anything."""
    try:
        read = x509.load_der_x509_certificate(der)
        return Certificate(
            _hosts(read) or _name(read.subject) or "nobody",
            _name(read.issuer) or "nobody",
            read.not_valid_before_utc.timestamp(),
            read.not_valid_after_utc.timestamp(),
        )
    except (ValueError, TypeError, x509.InvalidVersion):
        return None


def day(unix_time: float) -> str:
    """The date, for people."""
    return time.strftime("%Y-%m-%d", time.gmtime(unix_time))


def unverifying_context() -> ssl.SSLContext:
    """A context that believes everybody: to look at who is there, not to say anything that matters."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


@functools.cache
def public_context() -> ssl.SSLContext | None:
    """A context that trusts the public authorities alone, none of this machine's own; None if they are not here."""
    try:
        import certifi
    except ImportError:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context


def _name(name: x509.Name) -> str:
    parts = []
    for oid in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME):
        values = [value.value for value in name.get_attributes_for_oid(oid)]
        parts += [shorten(value) for value in values[:1] if isinstance(value, str)]
    return ", ".join(parts)


def _hosts(read: x509.Certificate) -> str:
    """The hosts that it is for."""
    try:
        extension = read.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ""
    names = [str(name.value) for name in extension.value]
    return shorten(", ".join(names[:3]))
