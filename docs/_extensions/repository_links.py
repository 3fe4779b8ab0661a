"""Make links between the repository's files work on the site too.

The pages link to each other's files, so that they can be read in a clone or on a forge.
"""

from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

# Pages of the site that include a file from the top of the repository.
INCLUDED = {
    "readme": "README.rst",
    "changelog": "CHANGELOG.rst",
    "contributing": "CONTRIBUTING.rst",
    "security": "SECURITY.rst",
}


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the extension; Sphinx calls it."""
    app.connect("doctree-read", _replace_links)
    return {"parallel_read_safe": True}


def _replace_links(app: Sphinx, document: nodes.document) -> None:
    pages = _pages_by_file(app)
    docname = app.env.docname
    folder = (_source_of(app, docname)).parent
    for link in list(document.findall(nodes.reference)):
        uri = link.get("refuri", "")
        target = (folder / uri).resolve()
        if not uri or ":" in uri or not target.exists():
            continue
        if target in pages:
            link.replace_self(_link_to_page(pages[target], link, docname))
        else:
            # The site has no such page: the name of the file has to do.
            link.replace_self(nodes.literal("", link.astext()))


def _pages_by_file(app: Sphinx) -> dict[Path, str]:
    return {_source_of(app, docname): docname for docname in app.env.found_docs}


def _source_of(app: Sphinx, docname: str) -> Path:
    source = Path(app.srcdir)
    if docname in INCLUDED:
        return (source.parent / INCLUDED[docname]).resolve()
    return Path(app.env.doc2path(docname)).resolve()


def _link_to_page(page: str, link: nodes.reference, docname: str) -> addnodes.pending_xref:
    return addnodes.pending_xref(
        "",
        nodes.inline("", link.astext()),
        refdomain="std",
        reftype="doc",
        reftarget=f"/{page}",
        refexplicit=True,
        refdoc=docname,
        refwarn=True,
    )
