"""The notebooks as slides for the instructor, without a network: docs/_build/html/slides.

Slides follow from the cells by rule: a heading begins a slide, a long text is split at its
paragraphs, code and each figure get a slide of their own, an explanation is uncovered at the next
key; solutions, checks, stubs and Deeper stay out. A cell's `slideshow` metadata overrule it:
slide_type "skip" leaves the cell out, "notes" puts it into the speaker's notes (key S).
"""

import html
import importlib.util
import itertools
import re
import shutil
from pathlib import Path

import nbformat
import pages
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

WORDS = 90  # on one slide; a display counts for DISPLAY of them
DISPLAY = 22
LINES = 16  # of code on one slide; more are set smaller
FIGURE_TAGS = {"hide-input"}
OUT_TAGS = {"solution", "check"}
EXPLAIN = '<p class="kicker">Explain</p><div class="fragment">{}</div>'

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="../_static/reveal/dist/reveal.css">
<link rel="stylesheet" href="../_static/reveal/dist/theme/white.css">
<link rel="stylesheet" href="../_static/slides.css">
<style>{code}</style>
<script>window.MathJax = {{svg: {{fontCache: "local"}}, options: {{enableMenu: false}}}};</script>
<script defer src="../_static/mathjax/tex-svg-full.js"></script>
</head><body><div class="reveal"><div class="slides">
{slides}
</div></div>
<script src="../_static/reveal/dist/reveal.js"></script>
<script src="../_static/reveal/plugin/notes/notes.js"></script>
<script src="../_static/slides.js"></script>
</body></html>
"""


def markdown():
    """Markdown to HTML, with formulas left to MathJax."""
    parser = MarkdownIt("commonmark").enable("table")

    def formula(words, options):
        if not options["display_mode"]:
            return html.escape(rf"\({words}\)")
        number = "".join(f'<span class="eqno">({tag})</span>' for tag in pages.TAG.findall(words))
        return html.escape(rf"\[{pages.TAG.sub('', words).strip()}\]") + number

    return parser.use(dollarmath_plugin, renderer=formula, double_inline=True)


def weight(block):
    """How much of a slide a paragraph fills, in words."""
    displays = len(pages.DISPLAY.findall(block))
    return len(pages.DISPLAY.sub("", block).split()) + DISPLAY * displays


def items(block):
    """A list too long for a slide as its items, any other block as it is."""
    if weight(block) <= WORDS:
        return [block]
    return [item for item in re.split(r"(?m)^(?=(?:\d+\.|[-*]) )", block) if item.strip()]


def paragraphs(source):
    """The blocks between blank lines; a display stays with the text that leads to it."""
    whole = pages.DISPLAY.sub(lambda m: re.sub(r"\n\s*\n", "\n", m[0]), source)
    blocks = []
    for block in itertools.chain(*map(items, re.split(r"\n\s*\n", whole))):
        goes_on = blocks and (block.lstrip().startswith("$$") or blocks[-1].startswith("#"))
        if goes_on and weight(blocks[-1] + block) <= WORDS:
            blocks[-1] += "\n\n" + block
        elif block.strip():
            blocks.append(block)
    return blocks


def text_slides(source):
    """(begins a section, markdown) for each slide that a markdown cell fills."""
    slides = []
    for block in paragraphs(source):
        heading = re.match(r"#{1,3} ", block)
        room = WORDS * (1.5 if slides and weight(slides[-1][1]) < 25 else 1)
        if slides and not heading and weight(slides[-1][1] + " " + block) <= room:
            slides[-1] = (slides[-1][0], slides[-1][1] + "\n\n" + block)
        else:
            slides.append((bool(re.match(r"##? ", block)), block))
    return slides


def links_between_decks(source):
    """A link to a notebook leads to its slides; of one to another file the words stay."""
    source = pages.LEAVES_THE_SITE.sub(r"\1", source)
    return re.sub(r"\]\((\w+)\.ipynb[^)]*\)", r"](\1.html)", source)


def choices(cell):
    """The answers of a Predict to choose from, as a list by whose numbers a class can vote."""
    answers = enumerate(cell.metadata["choices"], start=1)
    return "\n".join(f"{number}. {answer}" for number, answer in answers)


def without_folds(source):
    return re.sub(r"</?details>|<summary>.*?</summary>", "", source)


def code_html(source):
    small = " small" if len(source.splitlines()) > LINES else ""
    marked = highlight(source, PythonLexer(), HtmlFormatter(nowrap=True))
    return f'<pre class="highlight{small}"><code>{marked}</code></pre>'


def output_html(cell):
    """Printed text and pictures of a cell, each its own piece."""
    pieces = []
    for output in cell.outputs:
        data = output.get("data", {})
        if output.output_type == "stream":
            pieces.append(f'<pre class="output">{html.escape(output.text[:1500])}</pre>')
        elif "image/png" in data:
            alt = html.escape(cell.metadata.get("alt", ""), quote=True)
            source = f"data:image/png;base64,{data['image/png'].strip()}"
            pieces.append(f'<img alt="{alt}" src="{source}">')
    return pieces


def cell_slides(cell, render, page=""):
    """(begins a section, HTML) for each slide of a cell; page is where its sliders move."""
    kind = cell.metadata.get("slideshow", {}).get("slide_type", "")
    tags = set(cell.metadata.get("tags", []))
    if kind == "skip" or tags & OUT_TAGS:
        return []
    if cell.cell_type == "markdown":
        source = links_between_decks(cell.source)
        if kind == "notes":
            return [(False, f'<aside class="notes">{render(without_folds(source))}</aside>')]
        slides = []
        for part in re.split(r"(?=<details>)|(?<=</details>)", source):
            wrap = EXPLAIN if "<summary>" in part else "{}"
            texts = text_slides(without_folds(part))
            slides += [(new, wrap.format(render(text))) for new, text in texts]
        if "choices" in cell.metadata:  # on the slide of the question, whatever its length
            slides[-1] = (slides[-1][0], slides[-1][1] + render(choices(cell)))
        return slides
    if "raise NotImplementedError" in cell.source or "try_answer(" in cell.source:
        return []
    outputs = output_html(cell)
    figures = [o for o in outputs if o.startswith("<img")]
    printed = "".join(o for o in outputs if not o.startswith("<img"))
    if pages.has_sliders(cell):
        figures = [
            f'<p class="kicker"><a href="{page}">Move its sliders</a></p>{f}' for f in figures
        ]
    hidden = cell.metadata.get("jupyter", {}).get("outputs_hidden")
    slides = []
    if not tags & FIGURE_TAGS:
        if printed:
            printed = f'<div class="{"fragment" if hidden else ""}">{printed}</div>'
        slides.append((False, code_html(cell.source) + printed))
    return slides + [(False, figure) for figure in figures]


def before_deeper(notebook):
    """The cells in front of the heading Deeper, which may stand within a cell."""
    for cell in notebook.cells:
        cut = re.search(r"^## Deeper", cell.source, re.MULTILINE)
        if cut and cell.cell_type == "markdown":
            yield nbformat.from_dict({**cell, "source": cell.source[: cut.start()]})
            return
        yield cell


def deck(notebook, page=""):
    """The <section>s of a notebook: one column of slides for each heading of level 1 or 2."""
    render = markdown().render
    columns = []
    for cell in before_deeper(notebook):
        for begins, content in cell_slides(cell, render, page):
            if begins or not columns:
                columns.append([])
            columns[-1].append(f"<section>{content}</section>")
    return "\n".join(f"<section>{''.join(column)}</section>" for column in columns)


def reveal():
    """The folder of reveal.js, in the package that ships it."""
    (place,) = importlib.util.find_spec("sphinx_revealjs").submodule_search_locations
    return Path(place) / "_static" / "revealjs"


def write(site):
    """Write the slides of every notebook, and reveal.js, into a built site."""
    folder, target = site / "slides", site / "_static" / "reveal"
    folder.mkdir(exist_ok=True)
    for part in ("dist", "plugin/notes"):
        ignored = shutil.ignore_patterns("*.map", "*.esm.js")
        shutil.copytree(reveal() / part, target / part, ignore=ignored, dirs_exist_ok=True)
    code = HtmlFormatter(style="default").get_style_defs(".highlight")
    links = []
    for path in pages.NOTEBOOKS:
        notebook = pages.read(path)
        title = html.escape(pages.title(notebook))
        text = PAGE.format(title=title, code=code, slides=deck(notebook, f"../{path.stem}.html"))
        (folder / f"{path.stem}.html").write_text(text, encoding="utf-8")
        links.append(f'<li><a href="{path.stem}.html">{title}</a></li>')
    words = f'<section><h2>Slides</h2><ul class="decks">{"".join(links)}</ul></section>'
    index = PAGE.format(title="Slides", code="", slides=words)
    (folder / "index.html").write_text(index, encoding="utf-8")
    print(folder / "index.html")
