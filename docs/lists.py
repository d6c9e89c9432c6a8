"""The cheat sheet and the glossary: chosen in two .toml files, filled in from the notebooks."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pages

HERE = Path(__file__).parent
PHANTOM = re.compile(r"\\phantom\{((?:[^{}]|\{[^{}]*\})*)\}")  # repeats a left side on the page


def load(name):
    return tomllib.loads((HERE / name).read_text(encoding="utf-8"))


# --- cheat sheet --------------------------------------------------------------------------------


def cheatsheet():
    """Markdown of the cheat sheet: names from cheatsheet.toml, formulas from the pages.

    Raises KeyError for a tag that no page has.
    """
    known = pages.all_equations()
    lines = [
        "# Cheat sheet\n",
        "The bounds, updates and identities of the course. The number of each leads to its place; "
        "the digits before its point are the number of the notebook.\n",
        '<div class="cheatsheet">\n',
    ]
    for section in load("cheatsheet.toml")["section"]:
        lines.append(f"## {section['title']}\n")
        for tag, entry in section["equations"].items():
            formula = PHANTOM.sub(r"\1", known[tag][1]).rstrip(" .,:;")
            head = f"{entry['name']} ({tag})"
            lines.append(f'<div class="entry">\n\n{head}\n\n$$\n{formula}\n$$\n\n</div>\n')
    return "\n".join([*lines, "</div>", "<style>@page {size: A3 landscape; margin: 8mm}</style>"])


# --- glossary -----------------------------------------------------------------------------------


def defining_cell(notebook, mark):
    """The first markdown cell that has the mark, the term in its bold or italic letters."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and mark in cell.source:
            return cell.id
    raise KeyError(f"{pages.title(notebook)} has no {mark}")


def entries():
    """The terms in alphabetical order, each with the id of the cell that defines it."""
    notebooks = {path.stem: pages.read(path) for path in pages.NOTEBOOKS}
    terms = load("glossary.toml")["term"]
    for term in terms:
        notebook = notebooks[term["page"]]
        term["cell"] = defining_cell(notebook, term["mark"])
        term["title"] = pages.title(notebook)
    return sorted(terms, key=lambda term: re.sub(r"[^a-z]", "", term["name"].lower()))


def cells_named_by_the_glossary():
    return {term["cell"] for term in entries()}


def glossary():
    """Markdown of the glossary."""
    lines = ["# Glossary\n", "Each word leads to the place that defines it.\n"]
    for term in entries():
        link = f"{term['page']}.html#cell-{term['cell']}"
        lines.append(
            f'<p class="term"><a href="{link}"><strong>{term["name"]}</strong></a> '
            f"<small>{term['title']}</small></p>\n\n{term['says']}\n"
        )
    return "\n".join([*lines, "<style>@page {size: A4; margin: 15mm}</style>"])


# --- PDF ----------------------------------------------------------------------------------------


def browser():
    names = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
    return next(filter(None, map(shutil.which, names)), None)


def write_pdfs(html):
    """Print the two lists with a headless browser; return the files, none without a browser."""
    program = browser()
    if program is None:
        print("no PDF: neither chromium nor chrome is on the PATH; print the pages by hand")
        return []
    written = []
    for name in ("cheatsheet", "glossary"):
        target = (html / f"{name}.pdf").resolve()
        command = [
            program,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--no-pdf-header-footer",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--virtual-time-budget=60000",
            f"--print-to-pdf={target}",
            (html / f"{name}.html").resolve().as_uri(),
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
        print(target)
        written.append(target)
    return written
