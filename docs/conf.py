"""How Sphinx builds these pages (`make docs`): docs/*.md, and docs/api/ from the docstrings.

Nothing is fetched while it builds, and a warning is an error.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pygments.lexers.special import TextLexer

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_ROOT: Final = Path(__file__).resolve().parents[1]
_PROJECT: Final = tomllib.loads((_ROOT / "pyproject.toml").read_text("utf-8"))["project"]

project = _PROJECT["name"]
release = _PROJECT["version"]
author = _PROJECT["authors"][0]["name"]
project_copyright = author

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["examples"]
html_theme = "furo"
html_title = f"{project} {release}"
html_copy_source = False
html_show_sphinx = False

# `operating.md#who-may-send-what` leads to that heading, as on a forge.
myst_heading_anchors = 3

# `--option` stays as it is typed.
smartquotes = False
# Docstrings mark names and values with single backticks, as Markdown does.
default_role = "literal"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 90
add_module_names = False


_MARKDOWN_ELSEWHERE: Final = re.compile(r"\[([^]]+)\]\(\.\./([\w/.-]+\.md)(?:#[\w-]+)?\)")


def _name_pages_elsewhere(_app: Sphinx, _name: str, source: list[str]) -> None:
    """Name a page that is not below docs/ by its path: on a forge it is a link, here it is not."""
    source[0] = _MARKDOWN_ELSEWHERE.sub(r"\1 (`\2`)", source[0])


def _show_made_defaults(*event: Any) -> tuple[str, str | None] | None:
    """Write `...` for a default that is made for each object: `<factory>` is no Python."""
    *_, signature, returns = event
    return (signature.replace("<factory>", "..."), returns) if signature else None


def setup(app: Sphinx) -> None:
    """Show the source of a diagram: drawing it would take a script from another host."""
    app.add_lexer("mermaid", TextLexer)
    app.connect("source-read", _name_pages_elsewhere)
    app.connect("autodoc-process-signature", _show_made_defaults)
