"""The check of the built documentation's links finds what it is there to find."""

from __future__ import annotations

from pathlib import Path

from docs.links import broken


def test_a_link_that_leads_nowhere_is_told(tmp_path: Path) -> None:
    (tmp_path / "zh").mkdir()
    (tmp_path / "index.html").write_text(
        '<h1 id="top">qqproto</h1><a href="zh/life.html#the%20end">well</a><a href="#top">well</a><a href="gone.html">'
        '<img src="shard.png"><a href="zh/life.html#nowhere">odd</a><a href="https://example.org/x">not ours</a>',
        encoding="utf-8",
    )
    (tmp_path / "zh" / "life.html").write_text(
        '<p id="the end"></p><a href="../index.html?q=1#top">well</a>', encoding="utf-8"
    )

    assert broken(tmp_path) == [
        "index.html: there is no file gone.html",
        "index.html: there is no file shard.png",
        "index.html: there is no place zh/life.html#nowhere",
    ]
