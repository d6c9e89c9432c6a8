"""Puts back the cells that a student edited, retagged or deleted; what is the student's stays."""

import ast
import copy

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell
from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor

MOVED = "*This cell was missing. The answer may stand in another cell.*"


def source_cells(resources):
    """The instructor's cells of this notebook, {grade_id: cell}, and the points of the graded."""
    info = resources["nbgrader"]
    with Gradebook(info["db_url"]) as gradebook:
        notebook = gradebook.find_notebook(info["notebook"], info["assignment"])
        solutions = {cell.name for cell in notebook.solution_cells}
        points = {cell.name: cell.max_score for cell in notebook.grade_cells}
        cells = {}
        for cell in notebook.source_cells:
            make = new_code_cell if cell.cell_type == "code" else new_markdown_cell
            cells[cell.name] = make(cell.source)
            cells[cell.name].pop("id", None)
            cells[cell.name].metadata["nbgrader"] = NotebookNode(
                schema_version=3, grade_id=cell.name, cell_type=cell.cell_type, task=False,
                grade=cell.name in points, solution=cell.name in solutions,
                locked=cell.locked, checksum=cell.checksum,
                **({"points": points[cell.name]} if cell.name in points else {}),
            )  # fmt: skip
    return cells


def answers(cells):
    """What the students are asked to write: {name: "function" or "value"}, from the stubs."""
    names = {}
    for cell in cells.values():
        if cell.cell_type != "code" or not cell.metadata["nbgrader"]["solution"]:
            continue
        for node in ast.parse(cell.source).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names[node.name] = "function"
            targets = node.targets if isinstance(node, ast.Assign) else []
            for name in [n for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]:
                names[name.id] = "value"
    return names


class RestoreCells(NbGraderPreprocessor):
    """Give every known cell its tags back and put missing ones where their grade_id sorts.

    Of several copies the last one counts. A missing answer comes back empty, so that an answer in
    a cell that lost its tags still counts. nbgrader's own DeduplicateIds leaves empty tags behind,
    which it then takes for an old format and stops grading the whole class.
    """

    def preprocess(self, nb, resources):
        known = source_cells(resources)
        nb.metadata.pop("homework", None)  # finished.py's mark, which only it may set
        nb.cells = [cell for cell in nb.cells if cell.cell_type in ("code", "markdown", "raw")]
        if not nb.cells:
            raise ValueError("this is no notebook, or an empty one")
        present = {}
        for cell in reversed(nb.cells):
            name = cell.metadata.pop("nbgrader", {}).get("grade_id")
            if name in present:
                self.log.warning("Cell '%s' is there more than once; the last counts", name)
            elif name in known:
                cell.metadata["nbgrader"] = copy.deepcopy(known[name].metadata["nbgrader"])
                present[name] = cell
        for name in sorted(set(known) - set(present)):
            self.log.warning("Cell '%s' was missing and is put back", name)
            if known[name].metadata["nbgrader"]["solution"]:
                known[name].source = "" if known[name].cell_type == "code" else MOVED
            later = [i for i, c in enumerate(nb.cells) if self.name_of(c) > name]
            nb.cells.insert(min(later, default=len(nb.cells)), known[name])
        return nb, resources

    @staticmethod
    def name_of(cell):
        return cell.metadata.get("nbgrader", {}).get("grade_id", "")
