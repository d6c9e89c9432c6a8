"""A class of submissions that misbehave, made from hw1's release filled with the reference answers.

Each entry of CLASS: student -> (edit, the checks that lose points, words triage.py must say).
An edit gets the notebook's cells and may change them.
"""


def cell(cells, name):
    return next(c for c in cells if c["metadata"].get("nbgrader", {}).get("grade_id") == name)


def append(name, text):
    """An edit that adds text at the end of the answer cell `name`."""

    def edit(cells):
        cell(cells, name)["source"] += "\n" + text

    return edit


def before(name, text):
    """An edit that adds an untagged cell before the cell `name`."""

    def edit(cells):
        extra = {"cell_type": "code", "metadata": {}, "source": text, "outputs": []}
        cells.insert(cells.index(cell(cells, name)), extra | {"execution_count": None})

    return edit


def replace(name, text):
    def edit(cells):
        cell(cells, name)["source"] = text

    return edit


def remove_checks(cells):
    cells[:] = [c for c in cells if not c["metadata"].get("nbgrader", {}).get("grade")]


def remove_setup(cells):
    cells.remove(cell(cells, "hw1-00-setup"))


def retag_checks(cells):
    for c in cells:
        tags = c["metadata"].get("nbgrader", {})
        if tags.get("grade") and c["cell_type"] == "code":
            c["source"], tags["points"], tags["locked"] = "1000.0", 1000, False
    cell(cells, "hw1-04c-check")["metadata"]["nbgrader"]["grade"] = False
    del cell(cells, "hw1-05c-check")["metadata"]["nbgrader"]


def copy_answer(cells):
    """The answer cell twice, tags and all, as copy and paste in JupyterLab makes it."""
    original = cell(cells, "hw1-04b-answer")
    cells.insert(cells.index(original), {**original, "id": "copied00"})


CHEATS = """
class Score:
    def __init__(self): self.points = 5.0
    def check(self, name, points): return lambda test: None
    def total(self): return 5.0
close = lambda *a, **k: True
float = lambda x: 5.0
"""
SHADOWS = """
import builtins, sys
import numpy
numpy.allclose = lambda *a, **k: True
numpy.asarray = lambda *a, **k: numpy.zeros(1)
builtins.abs = lambda x: 0
sys.displayhook = lambda value: None
"""
PEEK = """
import inspect, sys
LOOT = []
def elbo(*arguments):
    frame = sys._getframe()
    while frame:
        LOOT.append(str(frame.f_locals.get("source", "")))
        frame = frame.f_back
    return 0.0
"""
SHOW = "print(LOOT, In)\nraise ValueError(str(LOOT))"
WRITE = """
import os, pathlib, socket
found = [folder for folder in ("/", "/usr", "/root") if os.access(folder, os.W_OK)]
try:
    pathlib.Path(COURSE, "written-by-a-submission").write_text("x")
    found.append(COURSE)
except OSError:
    pass
for path in COURSE + "/gradebook.db", COURSE + "/source/hw1/hw1.ipynb":
    found += [path] if os.path.exists(path) else []
try:
    with socket.create_connection(("127.0.0.1", PORT), timeout=2) as connection:
        found += ["network"] if connection.recv(99) == b"outside the box" else []
except OSError:
    pass
assert not found, found
"""
HELPERS = "from vi_helpers import divergences\nkl_gamma = divergences.kl_normal"
STUBBORN = """
while True:
    try:
        import time
        while True: time.sleep(0.1)
    except KeyboardInterrupt: pass
"""
RAISE = "import a_package_that_is_not_there"
BLANK = "def elbo(*arguments):\n    raise NotImplementedError"

T1, T2, T3, T4, T5, T7 = (f"hw1-0{i}c-check" for i in (1, 2, 3, 4, 5, 7))

CLASS = {
    "reference": (lambda cells: None, [], ""),
    "loops": (before("hw1-04b-answer", "while True: pass"), [], "CellTimeoutError"),
    "loops_in_answer": (
        append("hw1-04b-answer", "def elbo(*a):\n    while True: pass"),
        [T4],
        "hw1-04c-check: stopped after",
    ),
    "stubborn": (append("hw1-02b-answer", STUBBORN), [T2], "hw1-02b-answer: CellTimeoutError"),
    "kills": (append("hw1-03b-answer", "import os; os._exit(1)"), [T3], "DeadKernelError"),
    "kills_in_check": (
        append("hw1-07b-answer", "def iw_bound(w):\n    import os; os.kill(os.getpid(), 9)"),
        [T7],
        "hw1-07c-check: this stopped Python",
    ),
    "writes": (before("hw1-01b-answer", WRITE), [], "mentions socket"),
    "floods": (
        lambda cells: [
            before("hw1-02b-answer", "for i in range(1000):\n    print('x' * 1_000_000)")(cells),
            append("hw1-05b-answer", "print('x' * 50_000_000)")(cells),
        ],
        [],
        "hw1-05b-answer: OutputLimitError",
    ),
    # its own answers to tasks 3 and 5 call the redefined float and break
    "redefines": (
        lambda cells: [
            before("hw1-01b-answer", CHEATS)(cells),
            append("hw1-04b-answer", BLANK)(cells),
        ],
        [T3, T4, T5],
        "mentions class Score",
    ),
    "shadows": (
        lambda cells: [
            before("hw1-04b-answer", SHADOWS)(cells),
            append("hw1-04b-answer", BLANK)(cells),
        ],
        [T4, T5, T7],  # its own later answers meet what it made of numpy
        "",
    ),
    "np_gone": (before("hw1-05b-answer", "np = 'mine'"), [T5, T7], ""),
    "edits": (
        lambda cells: [
            [replace(name, "5.0")(cells) for name in (T1, T4)],
            replace("hw1-00b-tools", "close = lambda *a: True")(cells),
            append("hw1-04b-answer", BLANK)(cells),
        ],
        [T4],
        "locked cell edited",
    ),
    "deletes": (
        lambda cells: [remove_checks(cells), append("hw1-04b-answer", BLANK)(cells)],
        [T4],
        "deleted",
    ),
    "no_setup": (remove_setup, [], "hw1-00-setup: deleted"),
    "retags": (
        lambda cells: [retag_checks(cells), append("hw1-04b-answer", BLANK)(cells)],
        [T4],
        "tags changed",
    ),
    "copies": (copy_answer, [], "2 copies"),
    "imports_answer": (append("hw1-01b-answer", HELPERS), [], "mentions vi_helpers"),
    "careless": (
        lambda cells: [
            append("hw1-05b-answer", "def fit_q(*a): raise SystemExit")(cells),
            append("hw1-07b-answer", "import warnings\nwarnings.warn('careful')")(cells),
            replace("hw1-02b-answer", RAISE)(cells),
            before("hw1-00-setup", RAISE)(cells),
        ],
        [T2, T5],
        "hw1-02b-answer: ModuleNotFoundError",
    ),
    "peeks": (
        lambda cells: [
            append("hw1-04b-answer", PEEK)(cells),
            before("hw1-05b-answer", SHOW)(cells),
        ],
        [T4],
        "mentions inspect",
    ),
}
