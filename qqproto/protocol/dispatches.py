"""The dispatch types, and what their payloads' ids name."""

from __future__ import annotations

EVENT_NAMING_TYPES = frozenset(
    {
        "C2C_MESSAGE_CREATE",
        "GROUP_AT_MESSAGE_CREATE",
        "GROUP_MESSAGE_CREATE",
        "AT_MESSAGE_CREATE",
        "MESSAGE_CREATE",
        "DIRECT_MESSAGE_CREATE",
        "INTERACTION_CREATE",
    }
)
"""Types whose ``d.id`` names the event itself, so that it comes once (autogen/event/<type>.html). Everywhere else it
names a thing, a guild or a channel, which many events are about."""
