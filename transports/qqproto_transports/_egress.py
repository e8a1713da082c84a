"""How one bot gets out of this machine: through which proxy, and whom TLS trusts."""

from __future__ import annotations

import os
import ssl

from qqproto.failures import Failure, FailureKind
from qqproto.wire.proxies import Proxy as ProxyAddress
from qqproto.wire.proxies import parse_proxy, proxy_for
from qqproto_transports._common import Proxy
from qqproto_transports._failures import Failed
from qqproto_transports._tls import default_context


class Egress:
    """One bot's way out, the same for its WebSockets and for HTTP.

    Raises :class:`ValueError` for a proxy whose address cannot be used, and :class:`ImportError` for one that needs a
    package that is missing.
    """

    def __init__(self, proxy: Proxy = "env", ssl_context: ssl.SSLContext | None = None) -> None:
        if isinstance(proxy, str) and proxy != "env":
            from qqproto.wire.tunnel import tunnel_through

            tunnel_through(parse_proxy(proxy), "gateway.example", 443)
        elif proxy is not None and not isinstance(proxy, str) and not callable(proxy):
            raise TypeError(f"proxy must be 'env', None, a URL or a callable, not {type(proxy).__name__}")
        self._proxy = proxy
        self._context = ssl_context

    @property
    def blocks(self) -> bool:
        """Whether :meth:`choose` asks the host, who may take his time: not to be called where nothing may wait."""
        return callable(self._proxy)

    def choose(self, url: str) -> ProxyAddress | None:
        """The proxy through which ``url`` is to be reached now, None for none. To be asked anew for each connection.

        Raises :class:`~qqproto_transports._failures.Failed` if it is named by an address that cannot be used.
        """
        if callable(self._proxy):
            chosen = self._proxy(url)
            if chosen is not None and not isinstance(chosen, str):
                raise TypeError(f"proxy= must return a URL or None, not {type(chosen).__name__}")
        else:
            chosen = proxy_for(url, os.environ) if self._proxy == "env" else self._proxy
        if not chosen:
            return None
        try:
            return parse_proxy(chosen)
        except ValueError as error:
            raise Failed(Failure(FailureKind.PROXY, str(error))) from None

    def context(self) -> ssl.SSLContext:
        """Whom TLS trusts, proxies with TLS included. Made when it is first wanted: loading the roots takes a while."""
        if self._context is None:
            self._context = default_context()
        return self._context
