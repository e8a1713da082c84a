"""`qqproto timeline`: a picture of a recording, in the terminal or as an SVG."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from qqproto.recording import lives_of
from qqproto_transports._cli_input import UsageError
from qqproto_transports._cli_replay import load, sound
from qqproto_transports._timeline_svg import svg_of
from qqproto_transports._timeline_text import draw_on


def timeline(path: Path, svg: Path | None = None) -> int:
    """Draw the recording at ``path``, in the terminal and, if it is asked for, into the file ``svg``; returns 0."""
    lines = load(path)
    with sound(path):
        lives = lives_of(lines)
    if not lives:
        raise UsageError(f"nothing has happened yet in the recording {path}")
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    with sound(path):
        draw_on(console, lives)
        picture = svg_of(lives)
    if svg is not None:
        try:
            svg.write_text(picture, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"the picture {svg} cannot be written: {error.strerror}") from None
    return 0
