"""How Sphinx builds the site, ``make docs``, and the manual pages, ``make man``."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).with_name("_extensions")))

import command_help

project = "fedbadges"
version = release = version_of("fedbadges")
extensions = [
    "command_help",
    "repository_links",
    "rule_keys",
    "settings_reference",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["examples", "pictures"]
# The text writes ``code`` in double backquotes; a single one is always a link.
default_role = None
highlight_language = "none"
nitpicky = True
# Types in signatures, of which most have no page.
nitpick_ignore_regex = [("py:.*", ".*")]
autodoc_member_order = "bysource"
add_module_names = False
maximum_signature_line_length = 80
# Quotes stand around what is typed, and two hyphens in front of an option.
smartquotes = False

html_theme = "furo"
html_title = f"fedbadges {version}"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_copy_source = False
html_show_copyright = False
# They would have the names of the interface of backends only; the search finds those.
html_use_index = False
html_domain_indices = False

man_pages = [
    *command_help.man_pages(),
    ("commands/fedmsg-badges", "fedmsg-badges", "award badges for the messages on fedmsg", [], 1),
]
# No date, so that the same text gives the same pages.
today = " "
