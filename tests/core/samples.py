"""The wire samples of tests/data: what the platform sends and takes, each with its source."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from qqproto import HTTPResponse

SAMPLES: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent.parent / "data" / "wire_samples.json").read_text(encoding="utf-8")
)


def body(name: str) -> Any:
    """The decoded JSON of one sample."""
    return SAMPLES[name]["body"]


def response(name: str) -> HTTPResponse:
    """One sample as an HTTP reply."""
    sample = SAMPLES[name]
    return HTTPResponse(sample.get("http_status", 200), {}, json.dumps(sample["body"]).encode())


def names(prefix: str) -> list[str]:
    """The names of the samples that begin with ``prefix``."""
    return [name for name in SAMPLES if name.startswith(prefix)]
