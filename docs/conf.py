"""How the documentation is built; `make docs` does it, with warnings as errors."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import qqproto
from docs import generated

project = "qqproto"
author = "The qqproto developers"
copyright = "The qqproto developers"
version = release = qqproto.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build", "_generated"]
myst_enable_extensions = ["colon_fence", "substitution"]
myst_substitutions = generated.substitutions()
myst_heading_anchors = 3

html_theme = "furo"
html_title = "qqproto"
html_copy_source = False

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
autodoc_type_aliases = {name: f"qqproto.{name}" for name in ("Event", "Question", "ShardAction", "AccountAction")}
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100

# Nothing is fetched while building, so only our own names can be linked. Rooms that are not public have no page.
nitpick_ignore_regex = [
    ("py:.*", r"(?!qqproto(\.testing(?:\.simulation)?|\.protocol\.dispatches|_transports\.\w+)?\.[A-Z]).*")
]

generated.write(Path(__file__).parent / "_generated")
