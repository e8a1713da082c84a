"""The mark on fields that the platform's documentation does not have."""

# No `from __future__ import annotations` in this package: annotations that are strings cost more at import than types.

from dataclasses import dataclass


@dataclass(frozen=True)
class Wild:
    """``Annotated[str, Wild("botgo")]``: seen in the wild, or read by the SDK that is named, and not documented."""

    source: str
