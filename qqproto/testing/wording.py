"""How the fake platform writes: JSON without spaces, times of the platform's clock."""

from __future__ import annotations

import json
from typing import Any

EPOCH = 1_784_599_200
"""The Unix time at which a virtual clock shows zero: 2026-07-21T10:00:00+08:00."""


def encode(message: Any) -> str:
    """A message as the gateway sends it."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


def timestamp(now: float) -> str:
    """The platform's time of day at ``now``: RFC 3339, in China's time zone, where the clock's zero is the epoch above.

    >>> timestamp(0.0)
    '2026-07-21T10:00:00+08:00'
    """
    days, seconds = divmod(EPOCH + int(now) + 8 * 3600, 86_400)
    # Days to a date in the proleptic Gregorian calendar, counted in years that begin in March.
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted_month + 2) // 5 + 1
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    year = era * 400 + year_of_era + (month <= 2)
    hour, minute = seconds // 3600, seconds // 60 % 60
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{seconds % 60:02}+08:00"
