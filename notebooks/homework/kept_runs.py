"""What need not be run again: whole submissions that grade.py has run, and figures of the source.

A run is found by what it depends on: the cells, the files beside them, the tests, the limits and
the code of the grader. Without the variable HOMEWORK_RUNS nothing is kept and nothing is found.
"""

import functools
import hashlib
import json
import os
from pathlib import Path

import nbformat
from cell_rules import is_figure

HERE = Path(__file__).parent


def folder():
    """Where runs are kept, or None."""
    name = os.environ.get("HOMEWORK_RUNS")
    return Path(name) if name else None


def key_of(nb, known, files, limits):
    """A name for the run of notebook nb with the instructor's cells known and a folder of files."""
    cells = [
        [c.cell_type, c.source, c.metadata.get("nbgrader", {}).get("grade_id")] for c in nb.cells
    ]
    parts = [json.dumps(cells), json.dumps({n: c.source for n, c in known.items()}), repr(limits)]
    digest = hashlib.sha256("".join(parts).encode())
    for path in sorted(Path(files).iterdir()) if files else ():
        if path.is_file() and path.suffix != ".ipynb":
            digest.update(path.name.encode() + path.read_bytes())
    for path in sorted(HERE.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def find(key):
    """The notebook of an earlier run, or None."""
    path = folder() and folder() / f"{key}.ipynb"
    return nbformat.read(path, as_version=4) if path and path.exists() else None


def keep(key, nb):
    """Keep a run; a file that is there is whole."""
    if folder():
        folder().mkdir(parents=True, exist_ok=True)
        path = folder() / f"{key}.{os.getpid()}"
        nbformat.write(nb, path)
        path.replace(folder() / f"{key}.ipynb")


@functools.lru_cache(4)
def stored_pictures(path, changed):
    """{source of a figure: its outputs} as they stand in the assignment's notebook.

    changed is the time of its last change, so that a new one is read anew.
    """
    cells = nbformat.read(path, as_version=4).cells
    figures = [c for c in cells if is_figure(c.metadata.get("nbgrader", {}).get("grade_id", ""))]
    return {cell.source: cell.outputs for cell in figures}


def picture_of(files, source):
    """The outputs stored with the figure of this source in the folder of an assignment, if any."""
    path = files / f"{files.name}.ipynb"
    return stored_pictures(path, path.stat().st_mtime_ns).get(source) if path.exists() else None
