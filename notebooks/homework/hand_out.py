"""After the deadline: model solutions, or a practice copy with every check open.

    python hand_out.py solutions hw1     writes solutions/hw1/hw1.ipynb
    python hand_out.py practice hw1      writes practice/hw1/hw1.ipynb

Solutions hold the model answers, the marking schemes and all checks. The practice copy is what
students started from, with the hidden checks in the open.
"""

import re
import sys
from pathlib import Path

import fast_start  # noqa: F401 - before nbformat
import nbformat

HERE = Path.cwd() if (Path.cwd() / "nbgrader_config.py").exists() else Path(__file__).parent
KINDS = ("solutions", "practice")
ANSWER = re.compile(r"^([ \t]*)### BEGIN SOLUTION\n.*?^[ \t]*### END SOLUTION[^\n]*", re.M | re.S)
MARKER = re.compile(r"^[ \t]*### (BEGIN|END) (SOLUTION|HIDDEN TESTS)[^\n]*\n?", re.M)
STUB = r"\1# YOUR CODE HERE\n\1raise NotImplementedError()"


def opened(notebook, kind):
    """The notebook with its checks open, with or without the answers; outputs and tags removed."""
    for cell in notebook.cells:
        tag = cell.metadata.pop("nbgrader", {})
        cell.metadata = {}
        if kind == "practice" and tag.get("solution"):
            written = cell.cell_type == "markdown"
            cell.source = "YOUR ANSWER HERE" if written else ANSWER.sub(STUB, cell.source)
        cell.source = MARKER.sub("", cell.source)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def main(kind, name):
    source = HERE / "source" / name / f"{name}.ipynb"
    if kind not in KINDS or not source.exists():
        known = ", ".join(sorted(path.name for path in (HERE / "source").iterdir()))
        print(
            f"no {kind} of {name}; kinds: {', '.join(KINDS)}; assignments: {known}", file=sys.stderr
        )
        return 2
    target = HERE / kind / name / f"{name}.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(opened(nbformat.read(source, as_version=4), kind), target)
    print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) if len(sys.argv) == 3 else __doc__)
