"""Certificates made by trustme, what a client has to trust, and the server's end of a TLS connection."""

from __future__ import annotations

import datetime
import functools
import ipaddress
import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

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


def self_signed(address: str) -> ssl.SSLContext:
    """A server's context with a certificate that nobody but its own key has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "both.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
        context.load_cert_chain(path)
    return context


@functools.cache
def trusting_once() -> ssl.SSLContext:
    """The same one for all who do not change it: loading the system's roots takes longer than most tests."""
    return trusting()


def trusting() -> ssl.SSLContext:
    """The drivers' own context, with our authority beside the system's."""
    context = default_context()
    authority().configure_trust(context)
    return context


@dataclass
class TLSServer:
    """The other end of a TLS connection, over memory BIOs, and what it saw."""

    context: ssl.SSLContext
    sni: list[str | None] = field(default_factory=list)
    plaintext: bytes = b""
    error: ssl.SSLError | None = None

    def __post_init__(self) -> None:
        self.context.sni_callback = self._on_sni
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = self.context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.established = False

    def _on_sni(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        self.sni.append(name)

    def receive(self, data: bytes) -> bytes:
        """Take what came, return what is to be sent."""
        self.incoming.write(data)
        try:
            if not self.established:
                self.tls.do_handshake()
                self.established = True
            while chunk := self.tls.read(65536):
                self.plaintext += chunk
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self.error = error
        return self.outgoing.read()

    def write(self, data: bytes) -> bytes:
        self.tls.write(data)
        return self.outgoing.read()
