"""How the documentation is built, the English one in docs/ and, with the tag ``zh``, the Chinese one in docs/zh/.

`make docs` builds both, with warnings as errors.
"""

import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import qqproto
from docs import generated

HERE = Path(__file__).parent
CHINESE = "zh" in tags  # type: ignore[name-defined]  # noqa: F821  # Sphinx puts it there

project = "qqproto"
author = "The qqproto developers"
copyright = "The qqproto developers"
version = release = qqproto.__version__
logging.getLogger("jieba").disabled = True  # it tells how long it took to read its dictionary
language = "zh_CN" if CHINESE else "en"
locale_dirs = [str(HERE / "zh" / "locale")]

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build", "_generated", "_templates", "zh"]
myst_enable_extensions = ["colon_fence", "substitution"]
myst_substitutions = generated.substitutions(chinese=CHINESE)
myst_heading_anchors = 3

templates_path = [str(HERE / "_templates")]
html_static_path = [str(HERE / "_static")]
html_css_files = ["qqproto.css"]
html_theme = "furo"
html_title = "qqproto"
html_copy_source = False
# The Chinese pages lie in a folder of the English ones, so that each finds the other by a relative link.
other = {"name": "English", "tag": "en", "root": "../"} if CHINESE else {"name": "中文", "tag": "zh-CN", "root": "zh/"}
html_context = {
    "other_language": {
        **other,
        "pages": [page.stem for page in (HERE if CHINESE else HERE / "zh").glob("*.md")] + ["genindex", "search"],
    }
}
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "language.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}

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

generated.write(HERE / "zh" / "_generated" if CHINESE else HERE / "_generated", chinese=CHINESE)
