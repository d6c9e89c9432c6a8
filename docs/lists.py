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
            formula = re.sub(r"[ .,:;]*\s*(\\end\{aligned\})?$", r"\1", known[tag][1])
            formula = PHANTOM.sub(r"\1", formula)
            lines.append(
                f'<div class="entry">\n\n{entry["name"]} ({tag})\n\n'
                f'<div class="formula">\n\n{breakable(formula)}\n\n</div>\n\n</div>\n'
            )
    return "\n".join([*lines, "</div>", "<style>@page {size: A3 landscape; margin: 8mm}</style>"])


RELATIONS = {"=", r"\le", r"\ge", r"\approx", r"\propto", r"\leftarrow", r"\Longrightarrow"}
NOTHING = {"{}", " ", "\n", r"\;", r"\,", r"\!"}
TOKEN = re.compile(r"\\[a-zA-Z]+|\\.|\{\}|.", re.DOTALL)


def breakable(formula):
    """Markdown of the formula in parts: a line may end between two, where MathJax breaks none."""
    statements = [
        " ".join(rf"$\displaystyle {part}$" for part in statement)
        for statement in statements_of(formula)
    ]
    return " ".join(f'<span class="statement">{statement}</span>' for statement in statements)


def statements_of(formula):
    """The statements of a formula, each as the list of parts that may stand on lines of their own.

    A statement ends at a wide space, or at a row of an aligned display that ends in a comma; a part
    ends at any row, and before a relation, plus or minus outside of all brackets. A formula with a
    row that ends within brackets is one part.
    """
    statements, part, braces, brackets = [[]], [], 0, 0

    def end_part(statement=False):
        nonlocal part
        text = re.sub(r"(?:\\;|\s)+$", "", "".join(part)).strip()
        if text:
            statements[-1].append(text)
        if statement and statements[-1]:
            statements.append([])
        part = []

    def adds():
        """Whether a plus or minus that comes now is more than a sign."""
        before = [token for token in part if token not in NOTHING]
        return any(token not in RELATIONS for token in before) or (not before and statements[-1])

    for token in TOKEN.findall(re.sub(r"\\(?:begin|end)\{aligned\}", "", formula)):
        braces += (token == "{") - (token == "}")
        if not braces:
            brackets += (token in "([") - (token in ")]")
        outside = not braces and not brackets
        if token == r"\\" and not braces:
            if brackets:
                return [[formula]]
            end_part(statement="".join(part).rstrip().endswith(","))
        elif outside and token in (r"\quad", r"\qquad"):
            end_part(statement=True)
        elif outside and (token in RELATIONS or (token in ("+", "-") and adds())):
            end_part()
            part = ["{}", token]
        elif braces or token != "&":
            part.append(token)
    end_part()
    return [statement for statement in statements if statement]


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
    return sorted(
        terms, key=lambda term: re.sub(r"[^a-z]", "", term["name"].lower().replace("α", "alpha"))
    )


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


def beside_the_pages(printed, folder):
    """The PDF with links that lead to the pages beside it, not into the folder where it was made.

    Each is filled up with spaces behind its bracket, so that all places in the file stay.
    """

    def relative(match):
        return b"(./" + match[1] + b")" + b" " * (len(folder) + 1 - len("./"))

    return re.sub(rb"\(" + re.escape(folder.encode()) + rb"/([^)]*)\)", relative, printed)


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
        target.write_bytes(beside_the_pages(target.read_bytes(), html.resolve().as_uri()))
        print(target)
        written.append(target)
    return written
