"""Runs of submissions that parallel_grading.py has made ahead; autograde then only enters them.

A run is found by what it depends on: the cells, the files beside them, the tests, the limits and
the code of the grader. Without the variable HOMEWORK_RUNS nothing is kept and nothing is found.
"""

import hashlib
import json
import os
from pathlib import Path

import nbformat

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
