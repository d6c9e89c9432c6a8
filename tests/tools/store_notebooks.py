"""Run notebooks in place and store them as the tests want them: one clean run, outputs kept.

    python tests/store_notebooks.py notebooks/01_kl_divergence.ipynb ...

A notebook that raises is left as it was.
"""

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

CELL_METADATA = {"tags", "jupyter", "nbgrader", "deletable", "editable"}
# Says nothing without its kernel; the text beside it, and the picture, stay.
WIDGET = "application/vnd.jupyter.widget-view+json"


def run(path):
    """Execute the notebook in its own folder; return it with everything stray removed."""
    notebook = nbformat.read(path, as_version=4)
    folder = {"metadata": {"path": str(Path(path).parent)}}
    options = {"timeout": 900, "record_timing": False, "coalesce_streams": True}
    return strip(NotebookClient(notebook, resources=folder, **options).execute())


def strip(notebook):
    """Remove all metadata that is not part of the page."""
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
            if "metadata" in output:
                output.metadata = {}
            output.get("data", {}).pop(WIDGET, None)
    return notebook


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as the tests run them
    for name in sys.argv[1:]:
        executed = run(name)
        nbformat.write(executed, name)
        print(name)
