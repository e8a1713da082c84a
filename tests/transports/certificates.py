"""Certificates for servers on this machine, made by trustme, and what a client has to trust."""

from __future__ import annotations

import datetime
import functools
import ssl

import trustme

from qqproto_transports._tls import default_context

NAME = "gateway.example"


@functools.cache
def authority() -> trustme.CA:
    """The one authority that :func:`trusting` trusts."""
    return trustme.CA()


def server_context(
    *names: str, ca: trustme.CA | None = None, not_after: datetime.datetime | None = None
) -> ssl.SSLContext:
    """A server's context with a certificate for ``names``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (ca or authority()).issue_cert(*(names or (NAME,)), not_after=not_after).configure_cert(context)
    context.set_alpn_protocols(["http/1.1"])
    return context


def trusting() -> ssl.SSLContext:
    """The drivers' own context, with our authority beside the system's."""
    context = default_context()
    authority().configure_trust(context)
    return context
