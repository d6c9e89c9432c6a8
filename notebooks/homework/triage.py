"""Which submissions need a look: python triage.py hw1

Before autograding it lists what was handed in wrongly and what zip_collect passed over; afterwards
also what happened while it ran.
Students who need nothing but the hand grading are counted, not listed.
"""

import json
import re
import sys
from pathlib import Path

from nbgrader.api import Gradebook, MissingEntry
from traitlets.config import PyFileConfigLoader

HERE = Path.cwd() if (Path.cwd() / "nbgrader_config.py").exists() else Path(__file__).parent
LARGE_MB = 20
SUSPICIOUS = (
    "class Score",
    "vi_helpers", "_homework_guard", "_getframe", "inspect", "sys.modules", "ctypes",
    "subprocess", "os.system", "os.environ", "get_ipython", "globals(", "In[", "open(",
    "urllib", "requests", "socket",
)  # fmt: skip


def cells_of(path):
    """The notebook's cells as plain dictionaries, source joined."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    for cell in cells:
        cell["source"] = "".join(cell["source"])
    return cells


def tags(cell):
    return cell.get("metadata", {}).get("nbgrader", {})


def handed_in(path, release):
    """What is odd about a submitted notebook, before it is run."""
    if not path.exists():
        return [f"no {path.name} in the folder"]
    megabytes = path.stat().st_size / 1e6
    if megabytes > LARGE_MB:
        return [f"{path.name} has {megabytes:.0f} MB: clear its outputs before autograding"]
    try:
        cells = cells_of(path)
    except (ValueError, KeyError, TypeError, AttributeError):
        return [f"{path.name} is not a notebook"]
    notes = []
    names = [tags(cell).get("grade_id") for cell in cells]
    for cell in release:
        name = tags(cell).get("grade_id")
        copies = [c for c, n in zip(cells, names, strict=True) if n == name]
        if not name:
            continue
        if len(copies) != 1:
            notes.append(f"{name}: {'deleted' if not copies else f'{len(copies)} copies'}")
            continue
        if tags(cell).get("locked") and copies[0]["source"] != cell["source"]:
            notes.append(f"{name}: locked cell edited")
        if any(tags(copies[0]).get(k) != tags(cell).get(k) for k in ("grade", "locked", "points")):
            notes.append(f"{name}: tags changed")
    own = [c for c in cells if c["cell_type"] == "code" and not tags(c).get("locked")]
    code = "\n".join(cell["source"] for cell in own)
    for word in SUSPICIOUS:
        if word in code:
            notes.append(f"mentions {word}")
    return notes


def while_running(path):
    """What happened while the notebook was autograded."""
    notes = []
    for number, cell in enumerate(cells_of(path)):
        name = tags(cell).get("grade_id", f"cell {number}")
        for output in cell.get("outputs", []):
            if output["output_type"] == "error":
                notes.append(f"{name}: {output['ename']}")
            elif "put back before the check: " in "".join(output.get("text", "")):
                notes.append(f"{name}: changed the libraries that the check uses")
    return notes


def not_collected(folder):
    """Files that were handed in below folder and that zip_collect did not take, with the reason."""
    config = PyFileConfigLoader("nbgrader_config.py", path=str(HERE)).load_config()
    pattern = config.FileNameCollectorPlugin.named_regexp
    archive, extracted = folder / "archive", folder / "extracted"
    found = {p.relative_to(extracted): p for p in extracted.rglob("*") if p.is_file()}
    new = {p.relative_to(archive) for p in archive.rglob("*") if p.is_file()} - set(found)
    for path in sorted(new):
        unpacked = extracted / path.parent / path.stem.removesuffix(".tar")
        if path.suffix not in (".zip", ".gz") or not unpacked.exists():
            yield path, "not collected yet"
    for path, full in sorted(found.items()):
        if path.suffix != ".ipynb" or not re.match(pattern, str(full)):
            yield path, "not collected: its name is not STUDENT_ASSIGNMENT.ipynb"


def database_notes(gradebook, assignment, student):
    """The student's score and how many answers wait for a person; None if never graded."""
    try:
        submission = gradebook.find_submission(assignment, student)
    except MissingEntry:
        return None
    waiting = sum(g.needs_manual_grade for n in submission.notebooks for g in n.grades)
    return submission.score, submission.max_score, waiting


def main(assignment):
    released = HERE / "release" / assignment / f"{assignment}.ipynb"
    if not released.exists():
        there = ", ".join(sorted(path.name for path in HERE.glob("release/*"))) or "none yet"
        print(f"no release/{assignment}/{assignment}.ipynb; released: {there}", file=sys.stderr)
        return 2
    release = cells_of(released)
    students = sorted(p.parent.name for p in HERE.glob(f"submitted/*/{assignment}") if p.is_dir())
    begun = any(HERE.glob(f"autograded/*/{assignment}"))
    fine, waiting = 0, 0
    with Gradebook(f"sqlite:///{HERE / 'gradebook.db'}") as gradebook:
        for student in students:
            notes = handed_in(
                HERE / "submitted" / student / assignment / f"{assignment}.ipynb", release
            )
            graded = HERE / "autograded" / student / assignment / f"{assignment}.ipynb"
            known = database_notes(gradebook, assignment, student)
            score = "not graded"
            if graded.exists():
                notes += while_running(graded)
                score = f"{known[0]:g} of {known[1]:g}"
                waiting += known[2]
            elif begun:
                notes.append("autograding failed or has not run")
            if notes:
                print(f"{student}  ({score})")
                print("".join(f"    {note}\n" for note in dict.fromkeys(notes)), end="")
            fine += not notes
    for path, reason in not_collected(HERE / "downloaded" / assignment):
        print(f"{path}  {reason}")
    print(f"{len(students)} handed in, {fine} of them without anything odd.")
    print(f"{waiting} written answers wait for a person." if begun else "Not autograded yet.")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
