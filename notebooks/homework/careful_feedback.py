"""Feedback that shows neither the hidden tests nor what a submission printed of them."""

import re

from nbformat.v4 import new_output
from nbgrader import utils
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import List

HIDDEN = re.compile(r"^[ \t]*### BEGIN HIDDEN TESTS.*?### END HIDDEN TESTS[^\n]*\n?", re.M | re.S)
CHECK = re.compile(r"@score\.check\(\s*(\"[^\"]*\"|'[^']*'),\s*([\d.]+)\s*,?\s*\)")


class HideTests(NbGraderPreprocessor):
    """Leave in the feedback only what a student may see.

    Check cells keep their visible source and one line for each visible check. A submission could
    print the hidden tests while it is graded, so of other outputs only the kind of error returns.
    """

    display_data_priority = List().tag(config=True)  # nbconvert sets it and warns where it is not

    def preprocess_cell(self, cell, resources, index):
        if cell.cell_type != "code":
            return cell, resources
        errors = {o.ename for o in cell.outputs if o.output_type == "error"}
        lines = [
            f"stopped: {name}" for name in sorted(errors) if re.fullmatch(r"[A-Z]\w{,40}", name)
        ]
        if utils.is_grade(cell):
            lines = self.report(cell) + lines
            cell.source = HIDDEN.sub("", cell.source)
        cell.outputs = [new_output("stream", text="\n".join(lines) + "\n")] if lines else []
        return cell, resources

    @staticmethod
    def report(cell):
        printed = "".join(o.text for o in cell.outputs if o.output_type == "stream").splitlines()
        lines, earned, visible = [], 0.0, 0.0
        for quoted, points in CHECK.findall(HIDDEN.sub("", cell.source)):
            passed = f"{points}/{points} {quoted[1:-1]}" in printed
            lines.append(f"{points if passed else 0}/{points} {quoted[1:-1]}")
            earned, visible = earned + passed * float(points), visible + float(points)
        score, most = cell.metadata.nbgrader.get("score"), cell.metadata.nbgrader["points"]
        if score is not None and most > visible:
            lines.append(f"{max(score - earned, 0):g}/{most - visible:g} hidden checks")
        return lines
