"""The way to a host as a bot takes it, one step at a time: the proxy's choice, names, TCP, the tunnel, TLS."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from qqproto.failures import Failure
from qqproto.policy import Policy
from qqproto.wire.proxies import Proxy, decide
from qqproto.wire.tunnel import Tunnel
from qqproto_transports import _doctor_remedies as remedies
from qqproto_transports._asyncio_dial import choose_proxy, connect_to
from qqproto_transports._common import Proxy as ProxySetting
from qqproto_transports._doctor_certificates import Certificate, read_certificate
from qqproto_transports._doctor_deadline import within
from qqproto_transports._doctor_findings import Chart, Diagnosed, Note
from qqproto_transports._doctor_look import Look
from qqproto_transports._doctor_names import Found, is_address, look_up
from qqproto_transports._doctor_remedies import Target
from qqproto_transports._doctor_wire import Wire
from qqproto_transports._egress import Egress
from qqproto_transports._failures import failure_of
from qqproto_transports._route import Layer, Route
from qqproto_transports._tls import TLS


class Way:
    """Goes the way to ``target``, and tells each step; :attr:`wire` is what it comes to."""

    def __init__(
        self,
        target: Target,
        egress: Egress,
        setting: ProxySetting,
        policy: Policy,
        chart: Chart,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.target = target
        self._egress = egress
        self._setting = setting
        self._policy = policy
        self._chart = chart
        self._wall = wall
        self._proxy: Proxy | None = None
        self._found = Found([])
        self._route: Route | None = None
        self.wire: Wire | None = None

    @property
    def host(self) -> str:
        """The host, for people."""
        return self.target.host

    async def choose(self) -> tuple[str, Proxy | None]:
        """The first step; returns what tells this way from others."""
        await self._chart.step("proxy", self.host, self._choose(), lambda failure: remedies.of_choice(self.target))
        parts = urlsplit(self.target.url)
        secure = parts.scheme in ("wss", "https")
        return f"{secure} {parts.hostname} {parts.port or (443 if secure else 80)}", self._proxy

    async def walk(self, *, quiet: bool = False) -> Wire:
        """All the other steps; ``quiet``: told only if they fail. Raises
        :class:`~qqproto_transports._doctor_findings.GaveUp`."""
        self._chart.quiet = quiet
        try:
            return await self._walk()
        finally:
            self._chart.quiet = False

    def close(self) -> None:
        """End the connection, if there is one."""
        if self.wire is not None:
            self.wire.close()

    # -- steps ----------------------------------------------------------------------------------------------------

    async def _walk(self) -> Wire:
        route = self._route
        assert route is not None, "choose() comes before walk()"
        step, blame = self._chart.step, route.blame

        def remedy(failure: Failure) -> str:
            return remedies.of_network(failure, self.target)

        await step("dns", self.host, self._look_up(*route.address), remedy, blame=blame)
        await step("tcp", self.host, self._connect(route), remedy, blame=blame)
        for depth, layer in enumerate(route.layers):
            name = "tunnel" if isinstance(layer, Tunnel) else "tls" if layer is route.layers[-1] else "proxy-tls"
            await step(name, self.host, self._agree(layer, depth), remedy, blame=blame, slack=self._chart.deadline)
        assert self.wire is not None, "the step before has made it"
        return self.wire

    async def _choose(self) -> Note:
        url, target = self.target.url, self.target
        decision = decide(url, os.environ) if self._setting == "env" else None
        target.variable = "--proxy" if decision is None else decision.variable
        proxy = self._proxy = target.proxy = await choose_proxy(self._egress, url)
        self._route = Route(url, proxy, self._egress.context, self._policy)
        facts = {
            "proxy": None if proxy is None else str(proxy),
            "variable": target.variable,
            "exempted_by": None if decision is None else decision.exempted_by,
        }
        if decision is None:
            return Note(f"{'none' if proxy is None else proxy}, as --proxy says", facts)
        if decision.exempted_by is not None:
            return Note(f"none: {decision.exempted_by} exempts the host from {decision.variable}", facts)
        return Note("none: no variable names one" if proxy is None else f"{proxy}, from {decision.variable}", facts)

    async def _look_up(self, host: str, port: int) -> Note:
        self._found = found = await look_up(host, port)
        if is_address(host):
            return Note(f"{host} is an address", found.facts())
        what = found.describe()
        return Note(what if host == self.target.host else f"the proxy {host}: {what}", found.facts())

    async def _connect(self, route: Route) -> Note:
        sock = await connect_to(self._found.addresses)
        self.wire = Wire(route, sock)
        await self.wire.begin()
        address, port = sock.getpeername()[:2]
        shown = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        return Note(f"connected to {shown}", {"peer": shown})

    async def _agree(self, layer: Layer, depth: int) -> Note:
        wire = self.wire
        assert wire is not None, "there is TCP before there are layers"
        chart = self._chart
        begun = chart.clock()
        try:
            await within(chart.deadline, wire.agree(layer))
        except ssl.SSLCertVerificationError as error:
            raise await self._untrusted(error, depth) from None
        await wire.settle()
        spent = chart.clock() - begun
        if isinstance(layer, TLS):
            return await self._trusted(layer, depth, spent)
        return Note(f"{self._proxy} opened a tunnel to {self.target.authority}", seconds=spent)

    async def _trusted(self, layer: TLS, depth: int, spent: float) -> Note:
        certificate = read_certificate(layer.certificate)
        facts = {"version": layer.version, **_facts(certificate)}
        text = f"{layer.version}, {_describe(certificate, self._wall())}"
        public = await self._look(depth).is_public()
        if public is False:
            text += "; no public authority vouches for it, so that somebody on the way may be reading along"
        return Note(text, {**facts, "public": public}, seconds=spent)

    async def _untrusted(self, error: ssl.SSLCertVerificationError, depth: int) -> Diagnosed:
        """Who is there after all? It is looked at once more, and nothing is said to him."""
        assert self._route is not None, "there was one to fail"
        failure = failure_of(self._route.blame(error))
        seen = await self._look(depth).at_stranger(error.verify_code, self._wall)
        text = failure.message
        if seen.certificate is not None:
            text += f" ({_describe(seen.certificate, self._wall())})"
        ends = depth == len(self._route.layers) - 1
        what, remedy = remedies.of_certificate(error.verify_code, seen, self.target, of_host=ends)
        facts = {**_facts(seen.certificate), "clock_ahead": seen.clock_ahead}
        return Diagnosed(Failure(failure.kind, f"{what}: {text}" if what else text), remedy, facts)

    def _look(self, depth: int) -> Look:
        assert self._route is not None, "there was one to look at"
        with_tls = [place for place, layer in enumerate(self._route.layers) if isinstance(layer, TLS)]

        def route(context: ssl.SSLContext) -> Route:
            contexts = iter([context if place == depth else self._egress.context() for place in with_tls])
            return Route(self.target.url, self._proxy, lambda: next(contexts), self._policy)

        return Look(route, depth, self._found.addresses, self.target.authority, patience=self._chart.deadline / 2)


def _describe(certificate: Certificate | None, now: float) -> str:
    return "a certificate that cannot be read" if certificate is None else certificate.describe(now)


def _facts(certificate: Certificate | None) -> dict[str, object]:
    if certificate is None:
        return {}
    return {
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "not_before": certificate.not_before,
        "not_after": certificate.not_after,
    }
