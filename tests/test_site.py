"""The web site: what stands on it is what the notebooks hold, and every link leads somewhere."""

import base64
import html
import io
import itertools
import json
import re
import runpy
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import nbformat
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
for package in ("sphinx", "myst_nb", "sphinx_book_theme", "sphinx_revealjs"):
    pytest.importorskip(package, reason='the site needs: python -m pip install -e ".[course,site]"')

sys.path.insert(0, str(DOCS))
import build  # noqa: E402
import frames  # noqa: E402
import lists  # noqa: E402
import needed  # noqa: E402
import pages  # noqa: E402
import sliders  # noqa: E402

from vi_helpers import widgets  # noqa: E402

EQUATIONS = pages.all_equations()
SELECTION = {
    tag: entry
    for s in lists.load("cheatsheet.toml")["section"]
    for tag, entry in s["equations"].items()
}


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The site with the stored pictures, built strictly: a warning of Sphinx is an error."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, str(DOCS / "build.py"), "--no-sliders", "--out", str(out)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return out / "html"


@pytest.fixture(scope="session")
def texts(site):
    return {f.name: f.read_text(encoding="utf-8") for f in site.glob("*.html")}


# --- the built site -----------------------------------------------------------------------------


def test_every_notebook_is_a_page_and_can_be_downloaded_as_it_is_stored(site, texts):
    assert len(pages.NOTEBOOKS) == 12
    for path in pages.NOTEBOOKS:
        text = texts[f"{path.stem}.html"]
        assert f"_sources/{path.name}" in text
        assert (site / "_sources" / path.name).read_bytes() == path.read_bytes()


def test_every_link_within_the_site_leads_to_a_file_and_a_place_in_it(site, texts):
    ids = {name: set(re.findall(r'\bid="([^"]+)"', text)) for name, text in texts.items()}
    count = 0
    for name, text in texts.items():
        for target in re.findall(r'\b(?:href|src)="([^"]*)"', text):
            if re.match(r"[a-z]+:|//", target):
                continue
            file, _, place = html.unescape(target).partition("#")
            file = unquote(file.partition("?")[0]) or name
            assert (site / file).exists(), f"{name} points to {target}"
            if place and file in ids:
                assert unquote(place) in ids[file], f"{name} points to {target}"
            count += 1
    assert count > 1000


def test_nothing_is_loaded_from_elsewhere(site, texts):
    loading = r'<(?:script|img|iframe|source)[^>]*\bsrc="([^"]*)"|<link[^>]*\bhref="([^"]*)"'
    for name, text in texts.items():
        for found in re.findall(loading, text):
            assert not re.match(r"(?:https?:)?//", "".join(found)), f"{name} loads {found}"
    for sheet in site.rglob("*.css"):
        addresses = re.findall(r"url\(['\"]?([^)'\"]+)|@import ['\"]([^'\"]+)", sheet.read_text())
        assert not [a for pair in addresses for a in pair if re.match(r"(?:https?:)?//", a)], sheet


def test_every_equation_has_its_place_and_every_cited_number_leads_to_it(texts):
    for tag, (stem, _) in EQUATIONS.items():
        place = f"eq-{tag.replace('.', '-')}"
        assert texts[f"{stem}.html"].count(f'id="{place}"') == 1, tag
    cited = re.findall(r'class="eqref[^"]*" href="([^"#]*)#(eq-[\d-]+)"', "".join(texts.values()))
    assert len(cited) > 250
    for path in pages.NOTEBOOKS:
        main = texts[f"{path.stem}.html"].partition("<article")[2].partition("</article>")[0]
        prose = re.sub(
            r"(?s)<pre>.*?</pre>|<a [^>]*>.*?</a>|<h\d>.*?</h\d>|<summary.*?</summary>", "", main
        )
        plain = {tag for tag in re.findall(r"\((\d+\.\d+)\)", prose) if tag in EQUATIONS}
        assert plain == set(), f"{path.stem} cites {plain} without a link"


def test_solutions_checks_and_drawing_cells_are_folded_and_predictions_hide_their_output(texts):
    for path in pages.NOTEBOOKS:
        text = texts[f"{path.stem}.html"]
        shown = re.sub(r"(?s)<details.*?</details>", "", text)
        assert "# Solution" in re.sub("<[^>]+>", "", text)
        visible = html.unescape(re.sub("<[^>]+>", "", shown))
        assert not re.search(r"(?m)^\s*# (?:Solution|Figure: )", visible)
        assert "(solution): correct" not in visible
        assert not re.search(r"# Check \d", visible)


def test_below_a_question_the_code_that_tells_the_answer_is_folded_with_its_output():
    cell = nbformat.v4.new_code_cell(
        "assert k == 3", metadata={"jupyter": {"outputs_hidden": True}}
    )
    pages.fold(cell)
    assert cell.metadata["tags"] == ["hide-cell"]
    assert cell.metadata["mystnb"]["code_prompt_show"] == "Show code and output"


def test_a_cell_that_hides_code_and_output_is_one_fold():
    metadata = {"tags": ["hide-input"], "jupyter": {"outputs_hidden": True}}
    cell = nbformat.v4.new_code_cell("# Figure: a line\nax.plot(x)", metadata=metadata)
    pages.fold(cell)
    assert [tag for tag in cell.metadata["tags"] if "hide" in tag] == ["hide-cell"]
    assert cell.metadata["mystnb"]["code_prompt_show"] == "Figure: a line"


def test_every_picture_has_a_text_alternative(texts):
    for name, text in texts.items():
        article = text.partition("<article")[2].partition("</article>")[0]
        for tag in re.findall(r"<img [^>]*>", article):
            alt = re.search(r'alt="([^"]*)"', tag)
            assert alt and len(alt[1]) > 20 and "_build" not in alt[1], f"{name}: {tag}"


def test_every_picture_brings_its_own_ground_to_a_dark_page():
    count = 0
    for path in pages.NOTEBOOKS:
        for cell in pages.read(path).cells:
            for output in cell.get("outputs", []):
                if "image/png" in output.get("data", {}):
                    data = base64.b64decode(output["data"]["image/png"])
                    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))
                    assert pixels[..., 3].min() == 255, (
                        f"{path.name}: {cell.id} lets the page through"
                    )
                    assert pixels[0, 0, :3].min() > 250, f"{path.name}: {cell.id} is not on white"
                    count += 1
    assert count > 100


def test_a_page_is_made_from_a_copy():
    notebook = pages.read(pages.NOTEBOOKS[1])
    before = json.dumps(notebook)
    pages.page(notebook)
    assert json.dumps(notebook) == before


# --- launch buttons -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("https://github.com/someone/course.git", "https://github.com/someone/course"),
        ("https://github.com/someone/course", "https://github.com/someone/course"),
        ("git@github.com:someone/course.git", "https://github.com/someone/course"),
        ("ssh://git@gitlab.org/someone/course.git", "https://gitlab.org/someone/course"),
        ("https://name:secret@github.com/someone/course.git", "https://github.com/someone/course"),
        ("/srv/git/course.git", ""),
        ("../course", ""),
        ("http://localhost:3000/someone/course.git", ""),
        ("", ""),
    ],
)
def test_the_repository_is_taken_from_the_remote_and_never_guessed(remote, address, monkeypatch):
    monkeypatch.delenv("COURSE_REPOSITORY", raising=False)
    answer = subprocess.CompletedProcess([], 0, stdout=remote + "\n")
    monkeypatch.setattr(build.subprocess, "run", lambda *_, **__: answer)
    assert build.repository() == address


@pytest.mark.parametrize(
    ("repository", "buttons"),
    [
        ("", False),
        ("https://github.com/someone/course", True),
        ("https://gitlab.com/someone/course", False),  # the theme has no Colab there, and says so
        ("https://git.some-university.edu/someone/course", False),  # it stops the build
    ],
)
def test_there_are_launch_buttons_only_with_a_repository_on_github(
    repository, buttons, monkeypatch
):
    monkeypatch.setenv("COURSE_REPOSITORY", repository)
    options = runpy.run_path(str(DOCS / "conf.py"))["html_theme_options"]
    assert ("launch_buttons" in options) == ("repository_url" in options) == buttons
    assert not buttons or "binderhub_url" in options["launch_buttons"]


def test_the_first_page_leads_to_what_is_built_and_to_the_course_where_its_address_is_known(
    monkeypatch,
):
    for address, shown in (
        ("", "the course's folder"),
        ("https://git.some-university.edu/a/b", "repository](https://git.some-university.edu/a/b)"),
        ("https://github.com/a/b", "%pip install git+https://github.com/a/b@main"),
    ):
        monkeypatch.setenv("COURSE_REPOSITORY", address)
        monkeypatch.delenv("COURSE_BRANCH", raising=False)
        plain, full = build.index(), build.index(["slides", "cheatsheet.pdf"])
        assert shown in plain and ("pip install" in plain) == ("github" in address)
        assert "href" not in plain and "ALSO" not in plain and "RUN_THEM" not in plain
        assert re.findall('href="([^"]+)"', full) == ["slides/index.html", "cheatsheet.pdf"]


# --- cheat sheet and glossary -------------------------------------------------------------------


LAYOUT = r"\\(?:begin|end)\{aligned\}|\\\\|&|\{\}|\\q?quad|\\[,;!]|\\(?:[bB]igg?[lr]?|left|right)\b"


def in_one_line(formula):
    """The formula without what only spaces it, sizes its brackets or breaks it into lines."""
    return "".join(re.sub(LAYOUT, "", formula).split())


def test_every_equation_of_the_cheat_sheet_is_the_one_that_its_name_means():
    assert len(SELECTION) > 100
    for tag, entry in SELECTION.items():
        assert tag in EQUATIONS, f"no page has ({tag})"
        formula = EQUATIONS[tag][1]
        assert in_one_line(formula).startswith(in_one_line(entry["begins"])), (
            f"({tag}) is now {formula[:60]}: is it still “{entry['name']}”? see cheatsheet.toml"
        )


def test_every_notebook_is_on_the_cheat_sheet():
    assert {EQUATIONS[tag][0] for tag in SELECTION} == {path.stem for path in pages.NOTEBOOKS}


def displays(text):
    """What MathJax gets to typeset as displays."""
    found = re.findall(r'(?s)<div class="math[^"]*">\s*\\\[(.*?)\\\]\s*</div>', text)
    return [html.unescape(re.sub(r"\\(?:begin|end)\{split\}", "", f)) for f in found]


def test_a_formula_on_the_cheat_sheet_equals_that_of_its_page(texts):
    sheet = texts["cheatsheet.html"]
    entries = re.findall(
        r'(?s)<div class="entry">(.*?)\n\s*</div>\s*(?=<div class="entry">|</section|</div)', sheet
    )
    assert len(entries) == len(SELECTION)
    for entry in entries:
        stem, tag = re.search(r'href="(\w+)\.html#eq-(\d+-\d+)"', entry).groups()
        page = texts[f"{stem}.html"].partition(f'id="eq-{tag}"')[2]
        there = lists.PHANTOM.sub(r"\1", displays(page)[0])
        parts = re.findall(r"(?s)\\\(\\displaystyle (.*?)\\\)", entry.partition('"formula"')[2])
        shown, there = (in_one_line(html.unescape(f)) for f in ("".join(parts), there))
        assert parts and there.startswith(shown) and there[len(shown) :] in ("", ".", ",", ":"), tag


def test_a_formula_may_break_between_its_statements_and_at_signs_outside_of_brackets():
    for formula, statements in {
        r"a = b": [["a", "{}= b"]],
        r"a \;\le\; -b + c - d": [["a", r"{}\le\; -b", "{}+ c", "{}- d"]],
        r"f(x = 1, \quad y) = \frac{a + b}{c = d}": [
            [r"f(x = 1, \quad y)", r"{}= \frac{a + b}{c = d}"]
        ],
        r"-a, \qquad \text{so} \qquad b = c_{i=1}^{-1}": [
            ["-a,"],
            [r"\text{so}"],
            ["b", "{}= c_{i=1}^{-1}"],
        ],
        r"\begin{aligned} a &= b, \\ c ={}& d \\ &- e \end{aligned}": [
            ["a", "{}= b,"],
            ["c", "{}={} d", "{}- e"],
        ],
        r"\sum_{\substack{i \\ j}} x": [[r"\sum_{\substack{i \\ j}} x"]],
        r"\begin{aligned} [a &+ \\ &b] = c \end{aligned}": [
            [r"\begin{aligned} [a &+ \\ &b] = c \end{aligned}"]
        ],
    }.items():  # fmt: skip
        assert lists.statements_of(formula) == statements, formula


def test_each_term_of_the_glossary_leads_to_the_cell_that_writes_it_out(texts):
    terms = lists.entries()
    assert len(terms) > 60 and len({t["name"] for t in terms}) == len(terms)
    assert {t["page"] for t in terms} == {path.stem for path in pages.NOTEBOOKS}
    for term in terms:
        place = f'id="cell-{term["cell"]}"'
        word = re.sub(r"\$.*?\$", "", term["mark"].strip("*")).strip("- ").replace("'", "’")
        page = texts[f"{term['page']}.html"]
        assert place in page and word in page.partition(place)[2]
        link = f'href="{term["page"]}.html#cell-{term["cell"]}"'
        assert link in texts["glossary.html"], term["name"]


def test_a_term_that_no_cell_writes_out_is_noticed():
    with pytest.raises(KeyError, match="no word"):
        lists.defining_cell(pages.read(pages.NOTEBOOKS[1]), "**no word**")


def test_links_in_a_pdf_lead_to_the_pages_beside_it_and_nothing_moves():
    made = b"%PDF <</URI (file:///a/html/01_x.html#eq-1-2)>> <</URI (https://b.org/c)>> end"
    kept = lists.beside_the_pages(made, "file:///a/html")
    assert b"(./01_x.html#eq-1-2)" in kept and b"(https://b.org/c)" in kept and b"file:" not in kept
    assert len(kept) == len(made) and kept.index(b"end") == made.index(b"end")


# --- choices ------------------------------------------------------------------------------------

QUIZZES = [
    pytest.param(path, i, id=f"{path.name[:2]}-{i}")
    for path in pages.NOTEBOOKS
    for i, cell in enumerate(pages.read(path).cells)
    if "choices" in cell.metadata or "answer" in cell.metadata
]


@pytest.mark.parametrize(("path", "index"), QUIZZES)
def test_choices_stand_in_a_predict_cell_with_one_right_answer_and_an_explanation(path, index):
    cells = pages.read(path).cells
    metadata = cells[index].metadata
    assert "**Predict.**" in cells[index].source
    assert 2 <= len(metadata["choices"]) <= 5 and len(set(metadata["choices"])) > 1
    assert metadata["answer"] in range(len(metadata["choices"]))
    following = [c.source for c in cells[index + 1 : index + 6]]
    assert any("<b>Explain</b>" in source for source in following)


def test_choices_become_folds_of_which_one_is_right():
    metadata = {"choices": ["It *doubles*.", "It stays $x$."], "answer": 1}
    cell = nbformat.v4.new_markdown_cell("**Predict.** What?", metadata=metadata)
    text = pages.choices(cell)
    assert text.count("<details") == 2 and text.count('class="choice right"') == 1
    assert text.index('class="choice wrong"') < text.index("doubles")
    assert text.index('class="choice right"') < text.index("stays")
    assert pages.choices(nbformat.v4.new_markdown_cell("**Predict.** What?")) == ""


# --- sliders without a kernel -------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 5, 50, 500])
@pytest.mark.parametrize("wanted", [1, 2, 3, 7, 40])
def test_a_coarser_grid_keeps_both_ends_and_the_start(count, wanted):
    for start in {0, count // 3, count - 1}:
        kept = frames.thin(count, start, wanted)
        assert kept == sorted(set(kept)) and {0, start, count - 1} <= set(kept)
        assert len(kept) <= max(wanted, 3) and max(kept) < count
        assert len({b - a for a, b in itertools.pairwise(kept[1:-1])}) <= 1, "uneven steps"


def test_a_coarser_grid_keeps_zero_too_where_there_is_room():
    assert frames.thin(41, 33, 11, also=20) == [0, 3, 8, 13, 18, 20, 23, 28, 33, 38, 40]
    assert frames.thin(41, 33, 3, also=20) == [0, 33, 40]
    limits = {"J": (-0.8, 0.8, 0.05, 0.35), "h": (-2.0, 2.0, 0.1, 0.3)}
    axes = frames.grid({name: widgets._control(name, spec) for name, spec in limits.items()})
    assert {-0.8, 0.0, 0.35, 0.8} <= set(axes["J"][0])
    assert {-2.0, 0.0, 0.3, 2.0} <= set(axes["h"][0])


@pytest.mark.parametrize("counts", [[5], [500], [46, 39], [9, 9, 59], [500, 2], [30, 30, 21]])
def test_the_pictures_of_a_group_stay_within_the_stated_number(counts):
    chosen = frames.sizes(counts, most=120)
    number = 1
    for size, count in zip(chosen, counts, strict=True):
        assert 2 <= size <= count
        number *= size
    assert number <= 120
    if all(size == count for size, count in zip(chosen, counts, strict=True)):
        return
    assert number > 60, "far fewer than allowed"


NOTEBOOK = """
from vi_helpers.widgets import explore
seen = []
---
slope = 2.0
def draw(height, name, ax):
    if height == FAILS: raise ValueError("too high")
    ax.plot([0, slope], [0, height])
    ax.set_title(name)
controls = explore(draw, figsize=(3, 2), height=(0.0, 1.0, 0.25, 0.5), name=MENU)
---
raise SystemError("cells after the last slider are not run")
"""


@pytest.fixture
def notebook(tmp_path):
    """A notebook with two sliders, one of them a menu, in a folder of its own."""

    def write(fails="None"):
        menu = "__import__('ipywidgets').SelectionSlider(options=['a', 'b <c>'], value='b <c>')"
        source = NOTEBOOK.replace("FAILS", fails).replace("MENU", menu)
        sources = [text.strip() for text in source.split("---")]
        cells = [nbformat.v4.new_code_cell(text) for text in sources]
        for number, cell in enumerate(cells):
            cell.id = f"cell-{number}"
        path = tmp_path / "sliders_only.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
        return path

    return write


def test_sliders_are_drawn_at_every_place_and_again_only_when_the_code_changes(notebook, tmp_path):
    path, cache = notebook(), tmp_path / "cache"
    assert sliders.cached(path, cache) is None
    folder = sliders.draw_in_advance(path, cache)
    assert sliders.cached(path, cache) == folder
    pictures = {f.name for f in folder.glob("*.webp")}
    assert pictures == {f"cell-1-0-{h}-{n}.webp" for h in range(5) for n in range(2)}
    assert len({f.read_bytes() for f in folder.glob("*.webp")}) == 10, "two places look alike"

    (shown,) = sliders.html(folder, "frames", {"cell-1": 'A "line"'})["cell-1"]
    assert re.findall(r'max="(\d+)" step="1" value="(\d+)"', shown) == [("4", "2"), ("1", "1")]
    assert 'src="frames/cell-1-0-2-1.webp"' in shown and "A &quot;line&quot;" in shown
    labels = [json.loads(html.unescape(x)) for x in re.findall(r"data-labels='([^']*)'", shown)]
    assert labels == [["0", "0.25", "0.5", "0.75", "1"], ["a", "b <c>"]]

    notebook(fails="7.0")  # other code, though it draws the same
    assert sliders.cached(path, cache) is None
    assert sliders.cached(path, cache, stale=True) == folder


def test_a_drawing_that_raises_anywhere_stops_the_build_and_names_the_place(notebook, tmp_path):
    path = notebook(fails="1.0")
    with pytest.raises(SystemExit, match=r"(?s)sliders_only.*draw failed at .*'height': 1.0.*"):
        sliders.draw_in_advance(path, tmp_path / "cache")
    assert sliders.cached(path, tmp_path / "cache", stale=True) is None


def test_sliders_take_the_place_of_the_hint_and_the_stored_picture():
    output = nbformat.v4.new_output
    cell = nbformat.v4.new_code_cell("controls = explore(draw, a=(0, 1, 1, 0))", id="x")
    cell.outputs = [
        output("stream", text="said"),
        output("display_data", {"text/plain": "Move the sliders. If they do not show"}),
        output("display_data", {"text/plain": "Sliders: a"}),
        output("display_data", {"image/png": "abc", "text/plain": "<Figure>"}),
    ]
    notebook = nbformat.v4.new_notebook(cells=[cell])
    stored = pages.page(notebook).cells[0].outputs
    assert [o.output_type for o in stored] == ["stream", "display_data"]
    moving = pages.page(notebook, {"x": ["<div></div>"]}).cells[0].outputs
    assert [list(o.get("data", {})) for o in moving] == [[], ["text/html"]]


# --- the cells that sliders need ----------------------------------------------------------------


@pytest.mark.parametrize("path", pages.NOTEBOOKS, ids=lambda path: path.name)
def test_the_cells_that_sliders_need_bind_every_name_that_they_read(path):
    import builtins

    notebook = pages.read(path)
    kept, bound = needed.needed_cells(notebook), set(dir(builtins)) | {"__name__"}
    for index in kept:
        made, read = needed.names(notebook.cells[index].source)
        assert read <= bound | made, f"cell {index}: {read - bound - made}"
        bound |= made
    assert {i for i, cell in enumerate(notebook.cells) if pages.has_sliders(cell)} <= set(kept)
    assert len(kept) < sum(cell.cell_type == "code" for cell in notebook.cells) / 2


def test_a_cell_is_needed_for_what_it_binds_and_only_while_that_is_read():
    sources = [
        "import numpy as np\nseen = 1",
        "x = 1",  # bound again before it is read
        "x = np.ones(3)\nother = [x for x in range(3)]",
        "def f(a):\n    y = a\n    return x + y + scale",
        "scale = 2",
        "y = 5",  # f has a y of its own
        "scale += 1",
        "i, axis = 0, 1",  # bound by the heads of the loops before it is read
        "for i in range(3):\n    for axis in 'ab':\n        z = axis * i\nelse:\n    w = i",
        "controls = explore(f, a=(0, z, w, 0))",
        "x = 3",
    ]
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    notebook = nbformat.v4.new_notebook(cells=cells)
    # scale is bound after f is made, so it is not found: a name missed raises when the cells run
    assert needed.needed_cells(notebook) == [0, 2, 3, 8, 9]


def test_a_loop_that_reads_what_its_head_binds_needs_it():
    made, read = needed.names("for x in x:\n    total += x\nwith open(y) as y:\n    y.read()")
    assert (made, read) == ({"x", "total", "y"}, {"x", "total", "open", "y"})


# --- slides -------------------------------------------------------------------------------------


def test_a_deck_has_every_heading_before_deeper_and_no_answer():
    import slides

    for path in pages.NOTEBOOKS:
        notebook = pages.read(path)
        deck = slides.deck(notebook)
        words = "\n\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
        core = words.partition("\n\n## Deeper")[0]
        levels = [len(m) for m in re.findall(r"(?m)^(#{1,3}) ", core)]
        assert [int(level) for level in re.findall(r"<h([1-3])>", deck)] == levels, path.stem
        code = re.sub("<[^>]+>", "", "".join(re.findall(r"(?s)<pre.*?</pre>", deck)))
        assert not re.search("# (?:Solution|Check|Figure)", code)
        assert deck.count("<section>") == deck.count("</section>") > 40
        for slide in re.findall(r"(?s)<section>((?:(?!<section>).)*)</section>", deck):
            text = re.sub(r"<pre.*?</pre>|\\\[.*?\\\]|\\\(.*?\\\)|<[^>]+>", " ", slide, flags=re.S)
            assert len(text.split()) < 200, text


def test_links_in_slides_lead_to_the_other_decks_and_nowhere_else(tmp_path):
    import slides

    slides.write(tmp_path)
    written = {file.name for file in (tmp_path / "slides").glob("*.html")}
    for file in (tmp_path / "slides").glob("*.html"):
        found = re.findall(r'<a href="([^"]*)"', file.read_text(encoding="utf-8"))
        local = [address for address in found if not re.match("https?:", address)]
        its_page = {f"../{file.name}"}  # where its sliders move
        assert local and set(local) <= written | its_page, set(local) - written


def test_choices_stand_on_the_slide_of_their_question_without_the_answer():
    import slides

    metadata = {"choices": ["It doubles.", "It stays $x$."], "answer": 1}
    question = nbformat.v4.new_markdown_cell("**Predict.** What?", metadata=metadata)
    ((_, slide),) = slides.cell_slides(question, slides.markdown().render)
    listed = r"<ol>\s*<li>It doubles\.</li>\s*<li>It stays .*\\\(x\\\).*\.</li>\s*</ol>"
    assert "What?" in slide and re.search(listed, slide), slide
    assert not re.search("(?i)right", slide)
    long = nbformat.v4.new_markdown_cell("Word " * 89, metadata=metadata)
    assert len(slides.cell_slides(long, slides.markdown().render)) == 1


def test_only_what_is_folded_on_the_page_is_an_explanation_on_the_slides():
    import slides

    source = (
        "<details>\n<summary>Explain</summary>\n\nIt doubles.\n\n</details>\n\n**Check.** Twice."
    )
    cell = nbformat.v4.new_markdown_cell(source)
    explained, check = [html for _, html in slides.cell_slides(cell, slides.markdown().render)]
    assert "Explain" in explained and "fragment" in explained and "It doubles." in explained
    assert "Explain" not in check and "fragment" not in check and "Twice." in check


def test_pictures_are_copied_where_they_cannot_be_linked(tmp_path, monkeypatch):
    def refuse(source, target):
        raise OSError("another disk")

    monkeypatch.setattr(build.os, "link", refuse)
    (tmp_path / "a").write_bytes(b"picture")
    build.link_or_copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"picture"


def test_slides_are_skipped_or_become_notes_as_their_metadata_say():
    import slides

    new = nbformat.v4.new_markdown_cell
    cells = [
        new("# 77 · Title"),
        new("Left out.", metadata={"slideshow": {"slide_type": "skip"}}),
        new("For me.", metadata={"slideshow": {"slide_type": "notes"}}),
        new("Shown: $x < y$.\n\n$$a < b \\tag{7.1}$$"),
    ]
    deck = slides.deck(nbformat.v4.new_notebook(cells=cells))
    assert "Left out" not in deck and '<aside class="notes"><p>For me.' in deck
    assert r"\(x &lt; y\)" in deck and r"\[a &lt; b\]" in deck and "(7.1)" in deck
