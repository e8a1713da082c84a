"""The command line `qqproto`: listen to a bot, serve a gateway of one's own, watch a demo."""

from __future__ import annotations

import importlib.util
import io
import os
import sys

_NEEDED = ("httpx", "rich", "typer")


def main() -> None:
    """Run the command that the process was given; always ends in SystemExit."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        names = " ".join(missing)
        print(f"qqproto: the command line needs {names}: python -m pip install {names}", file=sys.stderr)
        sys.exit(2)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # People write in every script, and some terminals still know one.
            stream.reconfigure(errors="backslashreplace")
    try:
        from qqproto_transports._cli_app import app

        app(prog_name="qqproto")
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read the output has gone; what is left in the buffers has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
