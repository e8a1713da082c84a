"""What thousands of connections in one process need of the system."""

from __future__ import annotations

import resource


def allow_many_files() -> None:
    """As many open files as the system lets this process have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
