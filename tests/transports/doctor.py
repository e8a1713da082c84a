"""Examinations by the doctor, over real sockets, in this process."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from qqproto import Credentials, Endpoints, Intents
from qqproto_transports._doctor import Case, examine
from qqproto_transports._doctor_findings import Finding, State
from qqproto_transports.local_gateway import LocalGateway

SECRET = "a-secret-that-nobody-may-see"
DEADLINE = 5.0


@dataclass
class Examination:
    """What was found, and how long it took."""

    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def verdict(self) -> Finding:
        """The last line."""
        assert self.findings[-1].step == "verdict"
        return self.findings[-1]

    @property
    def steps(self) -> list[str]:
        """What was told, in order."""
        return [finding.step for finding in self.findings]

    def step(self, name: str, host: str | None = None) -> Finding:
        """The last finding about a step."""
        found = [finding for finding in self.findings if finding.step == name and host in (None, finding.host)]
        assert found, f"no {name} in {self.steps}"
        return found[-1]

    def ends_with(self, step: str, *words: str) -> str:
        """The step that failed is the last one, nothing but the verdict comes behind it, and the verdict has these
        words; it is returned."""
        *_, last, verdict = self.findings
        assert (last.step, last.state) == (step, State.FAILED), self.findings
        assert verdict.state is State.FAILED
        assert verdict.text.startswith(step)
        assert "What to do: " in verdict.text
        for word in words:
            assert word in verdict.text, verdict.text
        self.hides_secrets()
        return verdict.text

    def hides_secrets(self) -> None:
        """Neither the secret nor a token is in anything that was found."""
        for finding in self.findings:
            for secret in (SECRET, "fake-access-token"):
                assert secret not in repr(finding)


def gateway_here(**options: Any) -> LocalGateway:
    """A local gateway whose first heartbeat is due soon."""
    return LocalGateway(secret=SECRET, heartbeat_interval=options.pop("heartbeat_interval", 1.0), **options)


async def examined(gateway: LocalGateway, tell: Any = None, **options: Any) -> Examination:
    """The doctor's findings about a bot of ``gateway``; the options are a case's."""
    result = Examination()

    def take(finding: Finding) -> None:
        result.findings.append(finding)
        if tell is not None:
            tell(finding)

    case = Case(
        options.pop("credentials", gateway.credentials),
        options.pop("endpoints", None) or gateway.endpoints,
        options.pop("intents", Intents.GROUP_AND_C2C_EVENT),
        deadline=options.pop("deadline", DEADLINE),
        **options,
    )
    begun = time.monotonic()
    assert await examine(case, take) is result.verdict
    result.seconds = time.monotonic() - begun
    return result


def endpoints_at(port: int, scheme: str = "http", host: str = "127.0.0.1") -> Endpoints:
    """The platform's endpoints at another port."""
    url = f"{scheme}://{host}:{port}"
    return Endpoints(api_base=url, token_url=f"{url}/app/getAppAccessToken")


WRONG = Credentials("11111111", "another-secret")
