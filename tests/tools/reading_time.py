"""How long a notebook takes a student, from a rule, so that no page states its time by feel.

    python tests/tools/reading_time.py            # show every notebook's times
    python tests/tools/reading_time.py --write    # put them into the notebooks and README.md

The rule: 120 words of prose a minute, a displayed formula read like 15 words, 5 seconds for each
line of code that is shown (folded cells are not), 10 minutes an exercise, its text included. What
comes after the heading "Deeper" counts by itself.
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[2]
WORDS_A_MINUTE, WORDS_A_FORMULA, SECONDS_A_LINE, MINUTES_AN_EXERCISE = 120, 15, 5, 10
LONGEST_CORE = 120  # minutes: one sitting
TIME_LINE = re.compile(r"^\*\*Time\.\*\*.*$", re.MULTILINE)


@dataclass(frozen=True)
class Times:
    """Minutes: reading the core and its exercises, and the part Deeper; and how many exercises."""

    reading: int
    exercises: int
    deeper: int

    @property
    def core(self):
        return self.reading + self.exercises

    def sentence(self):
        count = self.exercises // MINUTES_AN_EXERCISE
        noun = "exercise" if count == 1 else "exercises"
        line = f"**Time.** Core: {self.reading} minutes to read and run"
        line += f", {self.exercises} for {count} {noun}." if count else "."
        return line + (f" Deeper: {self.deeper} minutes." if self.deeper else "")


def measure(notebook):
    """The Times of a notebook, reading and deeper rounded up to 5 minutes."""
    seconds = {"core": 0.0, "deeper": 0.0}
    exercises = {"core": 0, "deeper": 0}
    part, in_exercises = "core", False
    for cell in notebook.cells:
        if cell.cell_type == "code":
            if not in_exercises and not cell.metadata.get("jupyter", {}).get("source_hidden"):
                seconds[part] += SECONDS_A_LINE * sum(
                    bool(x.strip()) for x in cell.source.split("\n")
                )
            continue
        for section in re.split(r"(?m)^(?=#{1,3} )", cell.source):
            if section.startswith("## "):
                in_exercises = section.startswith("## Exercises")
                part = "deeper" if section.startswith("## Deeper") else part
            elif section.startswith("### "):
                is_exercise = bool(re.match(r"### \d+\.\d+ ", section))
                exercises[part] += is_exercise
                in_exercises = is_exercise or (in_exercises and part == "core")
            if not in_exercises:
                seconds[part] += 60 * words(section) / WORDS_A_MINUTE
    rounded = {name: 5 * -int(-s // 300) for name, s in seconds.items()}
    deeper = rounded["deeper"] + MINUTES_AN_EXERCISE * exercises["deeper"]
    return Times(rounded["core"], MINUTES_AN_EXERCISE * exercises["core"], deeper)


def words(text):
    """The words of a piece of markdown; a displayed formula and an inline one count as stated."""
    text, displayed = re.subn(r"\$\$.*?\$\$", " ", text, flags=re.DOTALL)
    text = re.sub(r"\$[^$]+\$", " formula ", text)
    text = re.sub(r"<[^>]+>|\]\([^)]*\)", " ", text)
    return len(re.findall(r"[^\s|]*\w[^\s|]*", text)) + WORDS_A_FORMULA * displayed


def readme_cells(times):
    """The table cells of README.md: reading, exercises, deeper; a dash for none."""
    values = (times.reading, times.exercises, times.deeper)
    return " | ".join(str(v) if v else "–" for v in values)


def write(path):
    """Put the measured time into the notebook's first cell and README.md's table."""
    notebook = nbformat.read(path, as_version=4)
    times = measure(notebook)
    notebook.cells[0].source = TIME_LINE.sub(times.sentence(), notebook.cells[0].source)
    nbformat.write(notebook, path)
    readme = ROOT / "README.md"
    row = re.compile(rf"(?m)^(\| \[.*\]\(notebooks/{path.name}\) \|[^|]*)\|.*\|([^|]*)\|$")
    text = row.sub(rf"\1| {readme_cells(times)} |\2|", readme.read_text(encoding="utf-8"))
    readme.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        if "--write" in sys.argv[1:]:
            write(path)
        times = measure(nbformat.read(path, as_version=4))
        print(
            f"{path.stem:28s} core {times.core:3d} = {times.reading} + {times.exercises}, ", end=""
        )
        print(f"deeper {times.deeper}")
