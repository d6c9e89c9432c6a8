"""What every notebook must be, beside what nbval checks when it runs it."""

import base64
import io
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image
from tools.reading_time import LONGEST_CORE, Times, measure
from tools.store_notebooks import problems, strip

ROOT = Path(__file__).parents[1]
COURSE = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
HOMEWORK = sorted((ROOT / "notebooks" / "homework" / "source").glob("*/*.ipynb"))
NUMBERS = {path.name[:2] for path in COURSE}


def by_name(paths):
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.stem)


def code_cells(notebook):
    return [c for c in notebook.cells if c.cell_type == "code"]


def is_solution(cell):
    return "solution" in cell.metadata.get("tags", [])


def is_folded(cell):
    return cell.metadata.get("jupyter", {}).get("source_hidden", False)


def text(notebook):
    return "\n\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")


@by_name(COURSE + HOMEWORK)
def test_notebook_is_valid_and_stored_as_one_clean_run(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert problems(notebook) == []


@by_name(COURSE)
def test_notebook_tells_the_reader_what_to_expect_and_what_was_learned(path):
    notebook = nbformat.read(path, as_version=4)
    head = "\n\n".join(c.source for c in notebook.cells[:3] if c.cell_type == "markdown")
    for word in ("Objectives", "Prerequisites", "Time"):
        assert re.search(rf"\*\*{word}|## {word}", head), f"no {word} in the first text cells"
    assert notebook.cells[0].source.startswith(f"# {path.name[:2]} · "), "no title in front"
    for heading in ("## Break it", "## Exercises", "## Summary"):
        if path.name[:2] != "00" or heading != "## Break it":
            assert re.search(rf"^{heading}$", text(notebook), re.MULTILINE), f"no {heading}"
    assert "**Next.**" in text(notebook)


def headings(notebook):
    return re.findall(r"(?m)^(#{1,6}) (.*)$", re.sub(r"(?s)```.*?```", "", text(notebook)))


@by_name(COURSE)
def test_headings_are_one_title_and_skip_no_level(path):
    levels = [len(marks) for marks, _ in headings(nbformat.read(path, as_version=4))]
    assert levels.count(1) == 1 and levels[0] == 1
    assert all(below <= above + 1 for above, below in itertools.pairwise(levels))


@by_name(COURSE)
def test_the_stated_time_is_the_measured_one_and_the_core_fits_one_sitting(path):
    notebook = nbformat.read(path, as_version=4)
    times = measure(notebook)
    assert times.sentence() in notebook.cells[0].source, (
        "python tests/tools/reading_time.py --write"
    )
    assert times.core <= LONGEST_CORE


@by_name(COURSE)
def test_a_prediction_hides_its_output_and_the_explanation_waits_behind_a_fold(path):
    cells = nbformat.read(path, as_version=4).cells
    asked = [i for i, c in enumerate(cells) if "**Predict.**" in c.source]
    assert len(asked) >= (1 if path.name[:2] == "00" else 6), f"only {len(asked)} predictions"
    for i in asked:
        shown = next((c for c in cells[i:] if c.cell_type == "code" and c.outputs), None)
        assert shown is not None and shown.metadata.get("jupyter", {}).get("outputs_hidden"), (
            f"the output after the prediction in cell {i} is open"
        )
    fold = re.compile(r"(?s)<details><summary><b>Explain</b></summary>\n\n.*\n\n</details>")
    explained = [c.source for c in cells if "Explain" in c.source and c.cell_type == "markdown"]
    assert all(fold.search(source) for source in explained)


@by_name(COURSE)
def test_a_folded_cell_says_in_its_visible_line_what_it_holds(path):
    for cell in code_cells(nbformat.read(path, as_version=4)):
        tags = cell.metadata.get("tags", [])
        assert is_folded(cell) == ("hide-input" in tags or is_solution(cell)), cell.source[:60]
        if "check" in tags:
            assert re.match(r"# Check \d+\.\d+\n", cell.source), cell.source[:60]
        elif "hide-input" in tags:
            assert cell.source.startswith("# Figure: "), cell.source[:60]


@by_name(COURSE)
def test_every_picture_has_a_text_alternative(path):
    for number, cell in enumerate(code_cells(nbformat.read(path, as_version=4)), 1):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                alt = output.metadata.get("image/png", {}).get("alt", "")
                assert len(alt) > 20, f"code cell {number} shows a picture without alt"


@by_name(COURSE)
def test_a_stored_notebook_is_small_enough_to_be_shown_on_the_web(path):
    assert path.stat().st_size < 800_000


# Every file whose words may name a notebook.
WORDS = [
    *COURSE,
    *HOMEWORK,
    *(ROOT / "vi_helpers").rglob("*.py"),
    *(p for p in (ROOT / "tests").rglob("*.py") if p.name != Path(__file__).name),
    *(ROOT / "notebooks" / "homework").glob("*.*"),
    *(ROOT / ".github").rglob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    ROOT / "README.md",
    ROOT / "data" / "README.md",
]


def named_notebooks(words):
    """The numbers and the files of the notebooks that words mention."""
    numbers = set()
    for phrase in re.findall(r"[Nn]otebooks? ((?:\d\d(?!\d)(?:, | and |, and |–| or )?)+)", words):
        numbers |= set(re.findall(r"\d\d", phrase))
    return numbers, set(re.findall(r"\b\d\d_[a-z]\w*(?=\.ipynb)", words))


@pytest.mark.parametrize("path", WORDS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_text_names_a_notebook_that_does_not_exist(path):
    words = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        notebook = nbformat.reads(words, as_version=4)
        words = "\n".join(c.source for c in notebook.cells)
    numbers, files = named_notebooks(words)
    assert numbers <= NUMBERS, f"no notebook {sorted(numbers - NUMBERS)}"
    assert files <= {p.stem for p in COURSE}, f"no file {sorted(files - {p.stem for p in COURSE})}"


@by_name(COURSE)
def test_equations_carry_the_number_of_their_notebook(path):
    notebook = nbformat.read(path, as_version=4)
    tags = re.findall(r"\\tag\{(\d+)\.(\d+)\}", text(notebook))
    assert [int(n) for _, n in tags] == list(range(1, len(tags) + 1)), "not numbered in order"
    assert {int(n) for n, _ in tags} <= {int(path.name[:2])}


@by_name(COURSE)
def test_notebook_checks_itself_with_assertions(path):
    notebook = nbformat.read(path, as_version=4)
    pattern = re.compile(r"^\s*assert |assert_allclose", re.MULTILINE)
    assert any(pattern.search(cell.source) for cell in code_cells(notebook))


@by_name(COURSE)
def test_code_cells_are_short_enough_to_read(path):
    cells = code_cells(nbformat.read(path, as_version=4))
    lines = {c.id: len([x for x in c.source.splitlines() if x.strip()]) for c in cells}
    assert max(lines.values()) <= 40, "a code cell has more than 40 lines"
    open_ones = sorted(lines[c.id] for c in cells if not is_folded(c))
    assert open_ones[len(open_ones) // 2] <= 10, "the median code cell has more than 10 lines"


@by_name(COURSE)
def test_solutions_are_collapsed_and_their_visible_line_tells_nothing(path):
    """JupyterLab shows the first line of a collapsed cell."""
    for cell in filter(is_solution, code_cells(nbformat.read(path, as_version=4))):
        assert cell.metadata.get("jupyter") == {"source_hidden": True}
        assert cell.source.startswith("# Solution"), cell.source.splitlines()[0]


@by_name(COURSE)
def test_every_stub_has_a_solution_that_is_accepted(path):
    cells = code_cells(nbformat.read(path, as_version=4))
    printed = "".join(o.get("text", "") for c in cells for o in c.outputs)
    stubs = set(re.findall(r"Exercise ([\w.]+): not answered yet", printed))
    solved = set(re.findall(r"Exercise ([\w.]+) \(solution\): correct", printed))
    assert stubs == solved, f"stubs {sorted(stubs)}, accepted solutions {sorted(solved)}"


def test_notebook_11_is_stored_as_it_runs_on_mnist():
    notebook = nbformat.read(ROOT / "notebooks" / "11_vae_mnist.ipynb", as_version=4)
    printed = "".join(o.get("text", "") for c in code_cells(notebook) for o in c.outputs)
    assert "28 × 28" in printed and "MNIST could not be had" not in printed


@by_name(COURSE)
def test_links_between_notebooks_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#\s]+\.ipynb)", text(nbformat.read(path, as_version=4))):
        assert (path.parent / target).exists(), f"{path.name} links to {target}"


@by_name(COURSE)
def test_notebook_names_no_path_and_assumes_no_working_folder(path):
    source = "\n".join(c.source for c in code_cells(nbformat.read(path, as_version=4)))
    for pattern in (r"os\.chdir", r"sys\.path", r"\.\./", r"/home/", r"[A-Z]:\\"):
        assert not re.search(pattern, source), f"{path.name} depends on where it runs: {pattern}"


def test_setup_cells_run_from_any_working_folder(tmp_path):
    """The setup cell is where an import or a path would fail; nbval runs the rest in notebooks/.

    One process for all, because importing torch twelve times takes a minute.
    """
    cells = {p.name: code_cells(nbformat.read(p, as_version=4))[0].source for p in COURSE}
    plain = {
        name: "\n".join(line for line in source.splitlines() if not line.startswith("%"))
        for name, source in cells.items()
    }
    program = "import json, sys\nfor name, text in json.load(sys.stdin).items():\n"
    program += "    print(name, flush=True)\n    exec(compile(text, name, 'exec'), {})"
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path, input=json.dumps(plain), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, f"{run.stdout.split()[-1:]}: {run.stderr}"


# One symbol for one thing in the whole course: what a page's formulas must not contain. Notebook
# 00 translates the symbols of the sources, in an appendix that is exempt.
NOTATION = {
    r"entropy is \mathrm H[q]": r"\\math(?:cal|bb|bf)\s*\{?H\b|\\mathrm\s*\{?H\}?\s*\(",
    r"a log-likelihood is \log p": r"\\ell\b",
    r"the ELBO is \mathcal L": r"\\mathcal\s*\{?F\b",
    r"a normal is \mathcal N": r"(?<![\\A-Za-z ])N\([^)]*[|;,]|\\mathrm\s*\{?N\b",
    r"an expectation is \mathbb E": r"(?<![\\A-Za-z{ ])E_|\\mathrm\s*\{?E\}?_",
    r"a divergence is \mathrm{KL}": r"(?<![\\A-Za-z{])KL\(|D_\{?(?:\\mathrm\{)?KL",
}
FORMULA = re.compile(r"\$\$.*?\$\$|\$[^$\n]+\$", re.DOTALL)


def misused_symbols(words):
    """(what the symbol should be, the formula) for each formula that writes it another way."""
    formulas = FORMULA.findall(words)
    return [(rule, f) for rule, bad in NOTATION.items() for f in formulas if re.search(bad, f)]


@by_name(COURSE)
def test_one_symbol_stands_for_one_thing(path):
    words = text(nbformat.read(path, as_version=4))
    words = words.partition("## Deeper")[0] if path.name.startswith("00") else words
    assert misused_symbols(words) == []


@by_name(COURSE)
def test_greek_letters_in_prose_are_formulas(path):
    words = re.sub(r"`[^`]*`|(?m:^#.*$)", " ", text(nbformat.read(path, as_version=4)))
    assert re.findall(r".{0,20}[α-ω](?!-[A-Z]).{0,20}", FORMULA.sub(" ", words)) == []


# The rules above must themselves be able to fail.


@pytest.mark.parametrize(
    "formula",
    [
        r"$\mathcal H(q)$",
        r"$\mathrm H(q)$",
        r"$\ell(\theta)$",
        r"$\mathcal F$",
        r"$N(x; 0, 1)$",
        r"$E_q[f]$",
        r"$KL(q \| p)$",
        r"$$D_{KL}(q \| p)$$",
    ],
)
def test_a_symbol_written_another_way_is_noticed(formula):
    assert len(misused_symbols(f"Here {formula} stands.")) == 1
    right = r"$\mathrm H[q] + \mathbb E_q[\log p] = \mathcal L$, $\mathcal N(x; 0, 1)$, $N(D + 1)$"
    assert misused_symbols(right) == []


@pytest.fixture
def clean():
    cell = nbformat.v4.new_code_cell("1 + 1", execution_count=1)
    return nbformat.v4.new_notebook(cells=[cell])


def test_storing_strips_what_is_stray(clean):
    clean.metadata["widgets"] = {"state": {}}
    clean.cells[0].metadata.update(scrolled=True, tags=["solution"])
    assert problems(clean) != []
    assert problems(strip(clean)) == []
    assert clean.cells[0].metadata.tags == ["solution"]


def test_a_clean_notebook_has_no_storage_problem(clean):
    assert problems(clean) == []


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda cell: cell.update(execution_count=None), "not one run"),
        (lambda cell: cell.update(execution_count=7), "not one run"),
        (lambda cell: cell.metadata.update(scrolled=True), "stray metadata"),
        (lambda cell: cell.metadata.update(tags=["nbval-ignore-ouput"]), "stray metadata"),
        (
            lambda cell: cell.outputs.append(nbformat.v4.new_output("error", ename="E")),
            "stores an error",
        ),
        (
            lambda cell: cell.outputs.append(
                nbformat.v4.new_output("stream", name="stderr", text="x")
            ),
            "stderr",
        ),
    ],
)
def test_a_spoiled_notebook_is_noticed(clean, spoil, complaint):
    spoil(clean.cells[0])
    assert any(complaint in problem for problem in problems(clean))


def test_storing_makes_a_picture_smaller_and_keeps_how_it_looks(clean):
    pixels = np.full((80, 120, 4), 255, dtype=np.uint8)
    pixels[20:60, 30:90, :3] = np.linspace(0, 255, 60).astype(np.uint8)[None, :, None]
    raw = io.BytesIO()
    Image.fromarray(pixels).save(raw, "PNG", compress_level=1)
    png = base64.b64encode(raw.getvalue()).decode()
    clean.cells[0].outputs = [nbformat.v4.new_output("display_data", data={"image/png": png})]
    stored = strip(clean).cells[0].outputs[0].data["image/png"]
    after = np.asarray(Image.open(io.BytesIO(base64.b64decode(stored))).convert("RGB"))
    assert len(stored) < len(png)
    assert np.abs(after.astype(int) - pixels[:, :, :3]).max() < 8
    assert strip(clean).cells[0].outputs[0].data["image/png"] == stored


def test_storing_gives_each_picture_the_text_alternative_of_its_cell(clean):
    picture = nbformat.v4.new_output("display_data", data={"image/svg+xml": "x"})
    clean.cells[0].outputs = [picture]
    clean.cells[0].metadata.alt = "A curve that rises."
    assert strip(clean).cells[0].outputs[0].metadata == {
        "image/svg+xml": {"alt": "A curve that rises."}
    }


def test_a_name_of_a_notebook_is_found_in_prose_and_in_links():
    words = "Notebooks 02 (the ELBO), 04 and 05; notebook 13; see [x](17_unknown.ipynb) in 2024."
    assert named_notebooks(words) == ({"02", "13"}, {"17_unknown"})
    assert named_notebooks("notebooks 04, 05 and 19")[0] == {"04", "05", "19"}


@pytest.fixture
def page():
    """A page with 240 words, 12 shown and 2 folded lines, one formula, an exercise; and Deeper."""
    new, md = nbformat.v4.new_code_cell, nbformat.v4.new_markdown_cell
    folded = new("# Figure: a\nx", metadata={"jupyter": {"source_hidden": True}})
    cells = [
        md("# 01 · T\n\n" + "word " * 238),
        new("x = 1\n\n" * 12),
        folded,
        md("$$a = b$$"),
        md("## Exercises\n\n### 1.1 One\n\n" + "word " * 500),
        new("x = 1\n" * 50),
        md("## Summary\n\n## Deeper\n\n" + "word " * 119 + "\n\n### 1.2 Two\n\n"),
    ]
    return nbformat.v4.new_notebook(cells=cells)


def test_the_time_follows_the_rule(page):
    # core: (238 words + title 2 + Summary 1 + 15 for the formula)/120 + 12 lines * 5 s = 3.1 min
    assert measure(page) == Times(reading=5, exercises=10, deeper=15)
    page.cells[0].source += " word" * 360
    assert measure(page).reading == 10


def test_the_time_in_words():
    assert Times(65, 50, 20).sentence() == (
        "**Time.** Core: 65 minutes to read and run, 50 for 5 exercises. Deeper: 20 minutes."
    )
    assert Times(35, 0, 0).sentence() == "**Time.** Core: 35 minutes to read and run."
