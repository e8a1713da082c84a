"""The picture of the house is drawn from the imports that there are."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from xml.etree import ElementTree

import pytest

from docs import layers

IMPORTS = layers.imports()


def test_every_room_is_in_the_picture_above_all_that_it_imports() -> None:
    picture = ElementTree.fromstring(layers.draw(IMPORTS))
    height = {
        text.text: float(text.attrib["y"]) for text in picture.iter("{http://www.w3.org/2000/svg}text") if text.text
    }

    core = {path.stem for path in (layers.ROOT / "qqproto").iterdir() if not path.stem.startswith(("_", "py"))}
    assert height.keys() == core | {"qqproto_transports"}
    for room, below in IMPORTS.items():
        assert all(height[room] < height[other] for other in below), room
    assert min(height, key=lambda room: height[room]) == "qqproto_transports"
    assert IMPORTS["shard"] >= {"connection", "recovery"}
    assert "shard" not in IMPORTS["connection"]


def test_every_room_is_within_the_picture() -> None:
    picture = ElementTree.fromstring(layers.draw(IMPORTS))
    width, height = (float(number) for number in picture.attrib["viewBox"].split()[2:])
    for box in picture.iter("{http://www.w3.org/2000/svg}rect"):
        x, y, wide, high = (float(box.attrib[name]) for name in ("x", "y", "width", "height"))
        assert x >= 0
        assert y >= 0
        assert x + wide <= width
        assert y + high <= height


def test_a_line_is_drawn_for_each_import_that_no_other_implies() -> None:
    imports = {"roof": {"floor", "ground"}, "floor": {"ground"}, "ground": set[str]()}

    assert list(layers.steps(imports)) == [("floor", "ground"), ("roof", "floor")]
    assert layers.storeys(imports) == [["ground"], ["floor"], ["roof"]]
    assert layers.draw(imports).count("<line ") == 2


def test_a_circle_ends_the_build() -> None:
    with pytest.raises(ValueError, match=r"circle: \['chicken', 'egg'\]"):
        layers.storeys({"chicken": {"egg"}, "egg": {"chicken"}, "corn": set()})


def test_every_module_of_the_drivers_belongs_to_a_family() -> None:
    page = (layers.ROOT / "docs" / "house.md").read_text(encoding="utf-8")
    table = page.partition("| family |")[2].partition("\n\n")[0]
    families = {name for row in table.splitlines()[2:] for name in re.findall(r"`([\w*]+)`", row.split(" | ")[0])}
    modules = {path.stem for path in (layers.ROOT / "transports" / layers.DRIVERS).glob("*.py")}
    modules -= {"__init__", "__main__"}

    assert {name for name in modules if not any(fnmatch(name, family) for family in families)} == set()
    assert {family for family in families if not any(fnmatch(name, family) for name in modules)} == set()


def test_every_room_says_what_it_is() -> None:
    lines = layers.rooms(IMPORTS).splitlines()[2:]

    assert len(lines) == len(IMPORTS) - 1
    for line in lines:
        name, sentence, imported = line.strip("| ").split(" | ")
        assert sentence.endswith("."), name
        assert imported
