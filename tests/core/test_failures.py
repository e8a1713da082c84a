from __future__ import annotations

import pytest

from qqproto import Failure, FailureKind


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (Failure(FailureKind.TLS_UNTRUSTED), "tls-untrusted"),
        (Failure(FailureKind.PROXY, "the proxy said 502", http_status=502), "proxy: the proxy said 502"),
    ],
)
def test_a_failure_reads_as_its_kind_and_what_was_seen(failure: Failure, text: str) -> None:
    assert str(failure) == text


def test_the_kinds_tell_a_proxy_from_a_certificate_from_a_name() -> None:
    # Hosts may log the values or match on them: they are part of the interface.
    assert {kind.value for kind in FailureKind} == {
        "dns", "refused", "reset", "eof", "timeout", "tls-untrusted", "tls", "proxy", "proxy-auth", "http-status",
        "rate-limited", "other",
    }  # fmt: skip
