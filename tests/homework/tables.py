"""The tables of right and wrong answers to the homework, and what the checks make of them."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

TABLES = Path(__file__).parent
COURSE = TABLES.parents[1] / "notebooks" / "homework"
SOURCE = COURSE / "source"
NAMES = sorted(path.stem for path in TABLES.glob("*.toml"))
HIDDEN = re.compile(r"### BEGIN HIDDEN TESTS\n.*?### END HIDDEN TESTS\n", re.S)
CHECK = re.compile(r"@score\.check\(\s*\"([^\"]+)\",\s*([\d.]+),?\s*\)")


def cells_of(name):
    """The tagged cells of a homework as plain dictionaries, source joined."""
    cells = json.loads((SOURCE / name / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    for cell in cells:
        cell["source"] = "".join(cell["source"])
    return [cell for cell in cells if "nbgrader" in cell["metadata"]]


def tasks_of(name):
    """The table; each entry's code is its own, or the reference answer changed or added to.

    change : [old, new, ...] replaced in the reference;  adds : code that comes after it
    with   : ["ANSWER: NAME OF A RIGHT ENTRY", ...] of earlier tasks, whose code comes before it
    """
    answers = {c["metadata"]["nbgrader"]["grade_id"]: c["source"] for c in cells_of(name)}
    tasks = tomllib.loads((TABLES / f"{name}.toml").read_text(encoding="utf-8"))["task"]
    right = {}
    for task in tasks:
        for entry in task["wrong"] + task["right"]:
            if "code" not in entry:
                code, pairs = answers[task["answer"]], entry.get("change", [])
                for old, new in zip(pairs[::2], pairs[1::2], strict=True):
                    assert old in code, (entry["name"], old)
                    code = code.replace(old, new)
                before = [right[other] for other in entry.get("with", [])]
                entry["code"] = "\n".join([*before, code, entry.get("adds", "")])
        right |= {f"{task['answer']}: {entry['name']}": entry["code"] for entry in task["right"]}
        task["needed"] = {need: answers[need] for need in task.get("needs", [])}
    return tasks


def checks_of(name):
    """{grade_id of a check cell: (its visible checks, its hidden ones)}, each {title: points}."""
    found = {}
    for cell in cells_of(name):
        tag = cell["metadata"]["nbgrader"]
        if cell["cell_type"] == "code" and tag["grade"]:
            seen = {title: float(p) for title, p in CHECK.findall(HIDDEN.sub("", cell["source"]))}
            every = {title: float(p) for title, p in CHECK.findall(cell["source"])}
            hidden = {title: p for title, p in every.items() if title not in seen}
            found[tag["grade_id"]] = seen, hidden
    return found


def score(name, variants, seconds=30, notebook=None):
    """[{check: {"total", "checks"}}] for variants, pairs (answers, the only check to run)."""
    job = {
        "notebook": str(notebook or SOURCE / name / f"{name}.ipynb"),
        "seconds": seconds,
        "variants": [{"answers": answers, "only": only} for answers, only in variants],
    }
    paths = os.pathsep.join([str(COURSE), *sys.path])
    done = subprocess.run(
        [sys.executable, str(TABLES / "run_answers.py")],
        input=json.dumps(job), capture_output=True, text=True, timeout=1700, check=False,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def seen_path(name):
    return TABLES / "seen" / f"{name}.toml"


def seen_text(name, results):
    """What each visible check catches, as the text of seen/NAME.toml.

    results : {(check, name of a wrong answer): points of each check by title}
    """
    lines = [
        f"# Which wrong answers of ../{name}.toml each check on the student's page catches.",
        f"# Written by `python tests/tools/homework_table.py {name} --write`.",
    ]
    for check, (visible, _) in checks_of(name).items():
        lines += ["", f"[{check}]"]
        for title, points in visible.items():
            caught = [w for (c, w), got in results.items() if c == check and got[title] < points]
            entries = "".join(f"  {json.dumps(w, ensure_ascii=False)},\n" for w in caught)
            lines.append(f"{json.dumps(title, ensure_ascii=False)} = [\n{entries}]")
    return "\n".join(lines) + "\n"
