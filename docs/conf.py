"""How Sphinx builds the site: ``make docs``."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).with_name("_extensions")))

project = "fedbadges"
version = release = version_of("fedbadges")
extensions = ["repository_links"]
exclude_patterns = ["examples", "pictures"]
# The text writes ``code`` in double backquotes; a single one is always a link.
default_role = None
highlight_language = "none"
nitpicky = True

html_theme = "furo"
html_title = f"fedbadges {version}"
html_copy_source = False
html_show_copyright = False
