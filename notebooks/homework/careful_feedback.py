"""Feedback that shows neither the hidden tests nor what a submission printed of them."""

import builtins
import re

from nbformat.v4 import new_output
from nbgrader import utils
from nbgrader.preprocessors import NbGraderPreprocessor
from reports import total_of
from safe_display import safe_markdown
from traitlets import List

HIDDEN = re.compile(r"^[ \t]*### BEGIN HIDDEN TESTS.*?### END HIDDEN TESTS[^\n]*\n?", re.M | re.S)
WORDS = {
    "CellTimeoutError": "this cell was stopped: it took too long",
    "DeadKernelError": "this cell stopped Python and was left out",
    "OutputLimitError": "this cell was stopped: it printed too much",
    "NotebookTimeoutError": "not run: the time for the whole notebook was used up",
}


class HideTests(NbGraderPreprocessor):
    """Leave in the feedback only what a student may see.

    Check cells keep their visible source and one line for each check, hidden ones by title only;
    what a visible check quotes comes from a run without the hidden ones. A submission could print
    the arguments of hidden tests, so of other outputs only Python's own names of errors return.
    """

    display_data_priority = List().tag(config=True)  # nbconvert sets it and warns where it is not

    def preprocess_cell(self, cell, resources, index):
        about = cell.metadata.get("nbgrader", {})
        if about.get("comment"):  # it may quote what was made safe in the answer
            about["comment"] = safe_markdown(about["comment"])
        if cell.cell_type != "code":
            return cell, resources
        if utils.is_grade(cell):
            lines = self.report(cell)
            cell.source = HIDDEN.sub("", cell.source)
        else:
            errors = {o.ename for o in cell.outputs if o.output_type == "error"}
            lines = [in_words(name) for name in sorted(errors)] if utils.is_solution(cell) else []
        cell.outputs = [new_output("stream", text="\n".join(lines) + "\n")] if lines else []
        return cell, resources

    @staticmethod
    def report(cell):
        total = total_of(cell)
        if total is None:
            return [in_words(o.ename) for o in cell.outputs if o.output_type == "error"]
        lines = []
        for check in total.metadata["checks"]:
            earned = check["points"] if check["passed"] else 0
            tail = " (hidden)" if check["hidden"] else ""
            if not check["passed"] and check.get("quote"):
                tail = f" ({check['quote']})"
            if check["message"].startswith("stopped after"):
                tail += f" ({check['message']})" if check["hidden"] else ""
            lines.append(f"{earned:g}/{check['points']:g} {check['name']}{tail}")
        score = cell.metadata.nbgrader.get("score")
        if score is not None:
            lines.append(f"{score:g}/{cell.metadata.nbgrader['points']:g} in all")
        return lines


def in_words(error):
    """What feedback says of an error: its name only where Python itself has it."""
    known = isinstance(getattr(builtins, error, None), type)
    return WORDS.get(error, f"stopped: {error}" if known else "stopped by an error")
