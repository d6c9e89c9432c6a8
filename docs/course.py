"""A small Sphinx extension: the numbers of equations lead to them."""

import re

import pages
from docutils import nodes

CITED = re.compile(r"\((\d{1,2}\.\d{1,2})\)")


def anchor(tag):
    return "eq-" + tag.replace(".", "-")


def address(tag, stem):
    return f"{stem}.html#{anchor(tag)}"


def mark_equations(doctree):
    """Give each tagged display its anchor, and its number a place of its own beside the formula.

    A number inside the formula's picture could not be a link, and would keep a wide formula from
    shrinking to the width of the page.
    """
    for node in list(doctree.findall(nodes.math_block)):
        tags = pages.TAG.findall(node.astext())
        if not tags:
            continue
        (tag,) = tags
        formula = nodes.math_block("", rf"\[{pages.TAG.sub('', node.astext())}\]", nowrap=True)
        formula["number"], formula["label"] = None, None
        start = f'<div class="equation" id="{anchor(tag)}">'
        end = f'<a class="eqno" href="#{anchor(tag)}">({tag})</a></div>'
        raws = [nodes.raw("", words, format="html") for words in (start, end)]
        node.parent.replace(node, [raws[0], formula, raws[1]])


def link_citations(doctree, known):
    """Turn (4.1) in prose into a link to the display tagged 4.1; other numbers stay as they are."""
    closed = (nodes.title, nodes.reference, nodes.literal, nodes.math, nodes.FixedTextElement)
    for text in list(doctree.findall(nodes.Text)):
        parent, inside = text.parent, text.parent
        while inside is not None and not isinstance(inside, (*closed, nodes.raw, nodes.math_block)):
            inside = inside.parent
        if inside is not None or not CITED.search(text):
            continue
        parts = []
        for index, part in enumerate(CITED.split(text)):
            if index % 2 == 0:
                parts.append(nodes.Text(part))
            elif part not in known:
                parts.append(nodes.Text(f"({part})"))
            else:
                uri = address(part, known[part][0])
                parts.append(
                    nodes.reference("", f"({part})", refuri=uri, internal=True, classes=["eqref"])
                )
        parent.replace(text, parts)


def setup(app):
    known = pages.all_equations()

    def read(app, doctree):
        mark_equations(doctree)
        link_citations(doctree, known)

    app.connect("doctree-read", read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
