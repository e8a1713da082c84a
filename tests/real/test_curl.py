"""Which proxy stands before which address: curl itself is asked whether it agrees."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest

from tests.core.wire.test_proxies import EXEMPT, VARIABLES, P

# On Windows the names of variables have no case, and nothing of this can be told apart.
CURL = shutil.which("curl") if sys.platform != "win32" else None
asks_curl = pytest.mark.skipif(CURL is None, reason="there is no curl that could be asked whether it agrees")


def proxy_of_curl(url: str, environment: dict[str, str]) -> str | None:
    """Which proxy curl takes. Every name and every address is one of this machine at which nobody listens."""
    assert CURL is not None
    nowhere = ["--resolve", "*:1:127.0.0.1", "--resolve", "*:2:127.0.0.1", "--connect-to", "::127.0.0.1:1"]
    run = subprocess.run(
        [CURL, "-q", "-sv", *nowhere, url], env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert "Failed to connect to " in run.stderr, run.stderr
    used = re.search(r"Uses proxy env variable (?!no_proxy|NO_PROXY)\w+ == '(.*)'", run.stderr)
    return used[1] if used else None


@asks_curl
@pytest.mark.parametrize(("url", "environment", "expected"), VARIABLES)
def test_curl_agrees_on_the_variables(url: str, environment: dict[str, str], expected: str | None) -> None:
    assert proxy_of_curl(url, environment) == expected


@asks_curl
@pytest.mark.parametrize(("host", "no_proxy", "exempt"), [row for row in EXEMPT if ":" not in row[0]])
def test_curl_agrees_on_no_proxy(host: str, no_proxy: str, exempt: bool) -> None:
    """Addresses of IPv6 aside, which curl takes for names there until 8.18 (curl#19828)."""
    assert (proxy_of_curl(f"http://{host}", {"http_proxy": P, "no_proxy": no_proxy}) is None) is exempt
