"""TLS without a socket: the client's end of one connection, as a small machine over memory BIOs."""

from __future__ import annotations

import ssl

_RECORD = 16_384
"""Bytes of the largest TLS record (RFC 8446 §5.1): more than that no single read brings."""


def default_context() -> ssl.SSLContext:
    """A context that verifies certificates and names, with the ALPN that WebSocket clients send."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    # A write must never have to wait for a read.
    context.options |= ssl.OP_NO_RENEGOTIATION
    return context


class TLS:
    """Bytes of the wire in, plaintext out, and back.

    Call :meth:`start`, then feed :meth:`receive_data`; after every call send what :meth:`data_to_send` gives. Nothing
    may be sent before :attr:`established`, and by then the certificate is verified, if ``context`` verifies.
    ``server_hostname`` goes into SNI and is what the certificate is checked against. The methods raise
    :class:`ssl.SSLError`; :meth:`data_to_send` then holds the alert that tells the peer.
    """

    __slots__ = ("_incoming", "_object", "_outgoing", "ended", "established")

    def __init__(self, context: ssl.SSLContext, server_hostname: str) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_hostname)
        self.established = False
        self.ended = False
        """Whether the peer will say no more: a close_notify or the end of the stream came."""

    # -- facts ----------------------------------------------------------------------------------------------------

    @property
    def certificate(self) -> bytes:
        """The peer's certificate in DER, once it is established; whether it was verified, the context says."""
        return self._object.getpeercert(binary_form=True) or b""

    @property
    def version(self) -> str:
        """What was agreed upon, such as ``TLSv1.3``, once it is established."""
        return self._object.version() or ""

    # -- inputs and outputs ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin the handshake."""
        self._shake_hands()

    def receive_data(self, data: bytes) -> bytes:
        """Bytes came; ``b""`` is the end of the stream. Returns the plaintext that they complete.

        A stream that ends without a close_notify ends as any other: WebSocket frames and HTTP bodies know their length.
        """
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        if not self.established:
            self._shake_hands()
        return self._read() if self.established and not self.ended else b""

    def send_data(self, data: bytes) -> None:
        """Encrypt ``data``."""
        if not self.established:
            raise RuntimeError("nothing may be sent before the TLS handshake is verified")
        self._object.write(data)

    def close(self) -> None:
        """Say close_notify, if there is a connection to say it on. The peer's is not waited for."""
        if self.established:
            try:
                self._object.unwrap()
            except ssl.SSLError:
                pass  # Ours is written; what is missing is the peer's, or its data stands before it.

    def data_to_send(self) -> bytes:
        """What is to be sent now, if anything."""
        return self._outgoing.read()

    def _shake_hands(self) -> None:
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return
        self.established = True

    def _read(self) -> bytes:
        chunks = []
        while True:
            try:
                chunk = self._object.read(_RECORD)
            except ssl.SSLWantReadError:
                break
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                chunk = b""
            if not chunk:
                self.ended = True
                break
            chunks.append(chunk)
            if not self._incoming.pending and not self._object.pending() and not self._incoming.eof:
                break  # Nothing is left. Asking would cost an exception, as much as all the rest of a small read.
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)
