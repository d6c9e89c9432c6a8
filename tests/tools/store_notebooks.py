"""Run notebooks in place and store them as the tests want them: one clean run, outputs kept.

    python tests/tools/store_notebooks.py notebooks/01_kl_divergence.ipynb ...
    python tests/tools/store_notebooks.py --check notebooks/01_kl_divergence.ipynb ...

A notebook that raises is left as it was. --check runs nothing and writes nothing: it says what is
unclean, and exits with 1.
"""

import base64
import io
import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

CELL_METADATA = {"tags", "jupyter", "nbgrader", "deletable", "editable", "alt", "slideshow"}
CELL_METADATA |= {"choices", "answer"}  # of a Predict cell: the site offers them
TAGS = {
    "nbval-ignore-output",
    "nbval-check-output",
    "nbval-skip",
    "raises-exception",
    "solution",
    "check",  # an exercise's check, folded
    "hide-input",  # a cell that only draws, or a check: folded here and on the site
}
# Says nothing without its kernel; the text beside it, and the picture, stay.
WIDGET = "application/vnd.jupyter.widget-view+json"
IMAGES = ("image/png", "image/svg+xml", "image/jpeg")


def run(path):
    """Execute the notebook in its own folder; return it with everything stray removed."""
    notebook = nbformat.read(path, as_version=4)
    folder = {"metadata": {"path": str(Path(path).parent)}}
    options = {"timeout": 900, "record_timing": False, "coalesce_streams": True}
    return strip(NotebookClient(notebook, resources=folder, **options).execute())


def strip(notebook):
    """Remove all metadata that is not part of the page; give each image its cell's alt text."""
    notebook.metadata = {
        "kernelspec": {
            "display_name": "Python 3 (ipykernel)",
            "language": "python",
            "name": "python3",
        },
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        cell.metadata = {k: v for k, v in cell.metadata.items() if k in CELL_METADATA}
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            data.pop(WIDGET, None)
            if "metadata" in output:
                alt = cell.metadata.get("alt")
                images = [kind for kind in IMAGES if kind in data]
                output.metadata = {kind: {"alt": alt} for kind in images if alt}
            if "image/png" in data:
                data["image/png"] = smaller(data["image/png"])
    return notebook


def smaller(png):
    """A base64 PNG in 256 colours, half the size or less; or the same, where that is no gain."""
    raw = base64.b64decode(png)
    image = Image.open(io.BytesIO(raw))
    if image.mode == "P":
        return png
    white = Image.new("RGBA", image.size, "white")
    flat = Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    out = io.BytesIO()
    flat.quantize(256, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    small = out.getvalue()
    return base64.b64encode(small).decode() if len(small) < len(raw) else png


def problems(notebook):
    """Everything that makes a notebook other than one clean, kept run."""
    found = []
    cells = [c for c in notebook.cells if c.cell_type == "code"]
    counts = [c.execution_count for c in cells]
    if counts != list(range(1, len(cells) + 1)):
        found.append(f"not one run from top to bottom: execution counts {counts}")
    for number, cell in enumerate(cells, 1):
        tags = cell.metadata.get("tags", [])
        if not cell.source.strip():
            found.append(f"code cell {number} is empty")
        for output in cell.outputs:
            if output.output_type == "error" and "raises-exception" not in tags:
                found.append(f"code cell {number} stores an error")
            if output.get("name") == "stderr":
                found.append(f"code cell {number} stores stderr output")
            if WIDGET in output.get("data", {}):
                found.append(f"code cell {number} stores a widget that is dead without its kernel")
    for number, cell in enumerate(notebook.cells, 1):
        stray = set(cell.metadata) - CELL_METADATA
        unknown = set(cell.metadata.get("tags", [])) - TAGS
        if stray or unknown:
            found.append(f"cell {number} has stray metadata {sorted(stray | unknown)}")
    stray = set(notebook.metadata) - {"kernelspec", "language_info"}
    if stray:
        found.append(f"the notebook has stray metadata {sorted(stray)}")
    return found


def main(arguments):
    names = [name for name in arguments if name != "--check"]
    if "--check" in arguments:
        found = [f"{name}: {p}" for name in names for p in problems(nbformat.read(name, 4))]
        print("\n".join(found))
        return 1 if found else 0
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as the tests run them
    for name in names:
        executed = run(name)
        nbformat.write(executed, name)
        print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
