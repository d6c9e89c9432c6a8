"""Which submissions need a look: python triage.py hw1

Before autograding it lists what was handed in wrongly and what zip_collect passed over; afterwards
also what happened while it ran.
Students who need nothing but the hand grading are counted, not listed.
"""

import json
import re
import sys
from pathlib import Path

import fast_start  # noqa: F401 - before nbgrader
from finished import NAME, is_graded, links_in
from nbgrader.api import Gradebook, MissingEntry
from traitlets.config import PyFileConfigLoader

HERE = Path.cwd() if (Path.cwd() / "nbgrader_config.py").exists() else Path(__file__).parent
LARGE_MB = 20
LIMITS = ("CellTimeoutError", "DeadKernelError", "OutputLimitError", "NotebookTimeoutError")
STOPPED = re.compile("stopped after|out of memory|this stopped Python")
SUSPICIOUS = (
    "class Score", "inspect", "In[", "gc.", "setprofile", "settrace", "_transformers", "__code__",
    "vi_helpers", "_homework_door", "kernel_door", "ctypes", "subprocess", "os.system",
    "os.environ", "get_ipython", "urllib", "requests", "socket", "_getframe", "sys.modules",
    "open(",
)  # fmt: skip


def cells_of(path):
    """The notebook's cells as plain dictionaries, source joined; ValueError if it is none."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        for cell in cells:
            cell["source"] = "".join(cell["source"])
            cell.setdefault("metadata", {}).setdefault("nbgrader", {}).get("grade_id")
            cell["cell_type"], cell.setdefault("outputs", [])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path.name} is not a notebook") from error
    return cells


def tags(cell):
    return cell["metadata"]["nbgrader"]


def handed_in(path, release):
    """What is odd about a submitted notebook, before it is run."""
    links = [f"{p.name} is a symbolic link: not graded" for p in links_in(path.parent)]
    if links or not path.exists():
        return links or [f"no {path.name} in the folder"]
    if not NAME.fullmatch(path.parts[-3]):
        return ["the folder's name holds odd characters: not graded"]
    megabytes = path.stat().st_size / 1e6
    if megabytes > LARGE_MB:
        return [f"{path.name} has {megabytes:.0f} MB: clear its outputs before autograding"]
    cells = cells_of(path)
    notes = [note for cell in release if tags(cell) for note in changes(cell, cells)]
    own = [c for c in cells if c["cell_type"] == "code" and not tags(c).get("locked")]
    code = "\n".join(cell["source"] for cell in own)
    return notes + [f"mentions {word}" for word in SUSPICIOUS if word in code]


def changes(cell, cells):
    """What became of a released cell in a submission."""
    name = tags(cell)["grade_id"]
    copies = [c for c in cells if tags(c).get("grade_id") == name]
    if not copies and tags(cell).get("solution"):
        by_hand = "" if cell["cell_type"] == "code" else "; look for it and grade it by hand"
        return [f"{name}: deleted or its tags are lost; an answer elsewhere counts{by_hand}"]
    if len(copies) != 1:
        return [f"{name}: {'deleted' if not copies else f'{len(copies)} copies'}"]
    notes = []
    if tags(cell).get("locked") and copies[0]["source"] != cell["source"]:
        notes.append(f"{name}: locked cell edited")
    if any(tags(copies[0]).get(k) != tags(cell).get(k) for k in ("grade", "locked", "points")):
        notes.append(f"{name}: tags changed")
    return notes


def while_running(path):
    """What happened while the notebook was autograded."""
    notes = []
    for number, cell in enumerate(cells_of(path)):
        name = tags(cell).get("grade_id", f"cell {number}")
        for output in cell["outputs"]:
            if output["output_type"] == "error":
                said = output["evalue"] if output["ename"] in LIMITS else ""
                notes.append(f"{name}: {output['ename']} {said}".strip())
            extra = output.get("metadata", {})
            if extra.get("error"):
                notes.append(f"{name}: {extra['error']}")
            stopped = [c for c in extra.get("checks", []) if STOPPED.match(c["message"])]
            more = f" (and {len(stopped) - 1} more)" if len(stopped) > 1 else ""
            notes += [f"{name}: {c['message']}: {c['name']}{more}" for c in stopped[:1]]
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


def read_notes(look, *arguments):
    """The notes of one look at one submission; whatever is in it, the others get theirs."""
    try:
        return look(*arguments)
    except ValueError as error:
        return [str(error)]
    except Exception as error:
        return [f"cannot be read ({type(error).__name__}): open the file yourself"]


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
    unfinished = 0
    with Gradebook(f"sqlite:///{HERE / 'gradebook.db'}") as gradebook:
        for student in students:
            where = Path(student, assignment, f"{assignment}.ipynb")
            notes = read_notes(handed_in, HERE / "submitted" / where, release)
            graded = HERE / "autograded" / where
            known = database_notes(gradebook, assignment, student)
            score = "not graded"
            if known and is_graded(graded):
                notes += read_notes(while_running, graded)
                score = f"{known[0]:g} of {known[1]:g}"
                waiting += known[2]
            elif begun:
                unfinished += 1
                was = "was stopped halfway" if graded.parent.exists() else "failed or has not run"
                notes.append(f"autograding {was}: run nbgrader autograde {assignment}")
            if notes:
                print(f"{student}  ({score})")
                print("".join(f"    {note}\n" for note in dict.fromkeys(notes)), end="")
            fine += not notes
    for path, reason in not_collected(HERE / "downloaded" / assignment):
        print(f"{path}  {reason}")
    print(f"{len(students)} handed in, {fine} of them without anything odd.")
    if unfinished:
        print(f"{unfinished} not graded to the end: run nbgrader autograde {assignment}")
    print(f"{waiting} written answers wait for a person." if begun else "Not autograded yet.")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
