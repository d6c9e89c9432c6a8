"""From a stored notebook to a page of the site: pure functions, nothing is executed.

JupyterLab and the site read the same cells and the same metadata; what differs (folds, choices,
sliders drawn in advance) is added here, to a copy.
"""

import re
import sys
from pathlib import Path

# Through nbformat, jsonschema builds grammars of web addresses if it can: 2.5 s, and no use here.
sys.modules.setdefault("rfc3987_syntax", None)
import nbformat  # noqa: E402

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
DISPLAY = re.compile(r"\$\$(.*?)\$\$", re.DOTALL)
# A link to a file that is no page of the site; its words stay.
LEAVES_THE_SITE = re.compile(r"\[([^\]]+)\]\((?![a-z]+:|#|[^)#]*\.ipynb)[^)]+\)")
TAG = re.compile(r"\\tag\{(\d+\.\d+)\}")


def read(path):
    return nbformat.read(path, as_version=4)


def title(notebook):
    return notebook.cells[0].source.splitlines()[0].removeprefix("# ")


def equations(notebook):
    """tag -> formula without its tag, in the order of the page."""
    found = {}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for display in DISPLAY.findall(cell.source):
                for tag in TAG.findall(display):
                    found[tag] = TAG.sub("", display).strip()
    return found


def all_equations():
    """tag -> (stem of the notebook, formula) for the whole course."""
    found = {}
    for path in NOTEBOOKS:
        found |= {tag: (path.stem, f) for tag, f in equations(read(path)).items()}
    return found


def has_sliders(cell):
    return cell.cell_type == "code" and re.search(r"\bexplore\(", cell.source) is not None


def explore_cells(notebook):
    return [cell for cell in notebook.cells if has_sliders(cell)]


def page(notebook, sliders=None, named=()):
    """The notebook as the site shows it.

    sliders : cell id -> list of HTML, one for each slider group of the cell (see frames.py);
              a cell without any keeps its stored picture
    named   : ids of cells that get an anchor, because another page points to them
    """
    notebook = nbformat.from_dict(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            anchor = f'<a id="cell-{cell.id}"></a>\n\n' if cell.id in named else ""
            cell.source = anchor + LEAVES_THE_SITE.sub(r"\1", cell.source) + choices(cell)
        else:
            fold(cell)
            if has_sliders(cell):
                show_sliders(cell, (sliders or {}).get(cell.id, []))
    return notebook


def fold(cell):
    """Give the cell the tags and texts by which myst-nb folds it and describes its picture."""
    tags = list(cell.metadata.get("tags", []))
    first = cell.source.splitlines()[0]
    prompt = first.removeprefix("# ") if "hide-input" in tags else "Show the output"
    if "solution" in tags:
        tags, prompt = [*tags, "hide-cell"], "Solution"
    elif cell.metadata.get("jupyter", {}).get("outputs_hidden"):
        # One fold for both: code that is below a question, with what it asserts, tells the answer.
        if "hide-input" not in tags:
            prompt = "Show code and output"
        tags = [*(tag for tag in tags if tag != "hide-input"), "hide-cell"]
    cell.metadata["tags"] = tags
    cell.metadata["mystnb"] = {"code_prompt_show": prompt, "code_prompt_hide": prompt}
    if "alt" in cell.metadata:
        cell.metadata["mystnb"]["image"] = {"alt": cell.metadata["alt"]}


def choices(cell):
    """The answers to choose from, if the metadata of a Predict cell hold any.

    {"choices": ["It doubles.", "It stays."], "answer": 1}: answer counts from 0.
    """
    lines = []
    for index, choice in enumerate(cell.metadata.get("choices", [])):
        right = index == cell.metadata["answer"]
        verdict = "**Right.**" if right else "**Not this one.**"
        lines.append(
            f'<details class="choice {"right" if right else "wrong"}" name="quiz-{cell.id}">'
            f"<summary>\n\n{choice}\n\n</summary>\n\n"
            f"{verdict} The output and the explanation are below.\n\n</details>"
        )
    return "\n\n" + "\n".join(lines) if lines else ""


def show_sliders(cell, groups):
    """Put sliders that need no kernel where the hint and the picture of the live ones are stored.

    Without any, the picture stays and only the hint goes.
    """
    kept = []
    for output in cell.outputs:
        data = output.get("data", {})
        hint = data.get("text/plain", "").startswith(("Sliders", "Move the sliders"))
        if not hint and not (groups and "image/png" in data):
            kept.append(output)
    shown = [nbformat.v4.new_output("display_data", {"text/html": html}) for html in groups]
    cell.outputs = kept + shown
