"""Grading that survives whatever a submission does.

nbgrader_config.py switches these on:
RestoreCells   puts back test cells that a student edited, retagged or deleted.
CarefulExecute runs a submission in a box, with limits, and its tests apart from its names.
"""

import asyncio
import copy
import time
from pathlib import Path

from cell_rules import is_figure
from grading_box import IsolatedKernelManager, can_isolate
from jupyter_core.utils import ensure_async
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from nbgrader import utils
from nbgrader.api import Gradebook
from nbgrader.preprocessors import Execute, NbGraderPreprocessor
from traitlets import Integer

KERNEL_SIDE = Path(__file__).with_name("kernel_side.py")


def error_output(name, message):
    return new_output("error", ename=name, evalue=message, traceback=[f"{name}: {message}"])


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


class RestoreCells(NbGraderPreprocessor):
    """Give every known cell its tags back and put missing ones where their grade_id sorts.

    Of several copies the last one counts. nbgrader's own DeduplicateIds leaves empty tags behind,
    which it then takes for an old format and stops grading the whole class.
    """

    def preprocess(self, nb, resources):
        known = source_cells(resources)
        nb.cells = [cell for cell in nb.cells if cell.cell_type in ("code", "markdown", "raw")]
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
            later = [i for i, c in enumerate(nb.cells) if self.name_of(c) > name]
            nb.cells.insert(min(later, default=len(nb.cells)), known[name])
        return nb, resources

    @staticmethod
    def name_of(cell):
        return cell.metadata.get("nbgrader", {}).get("grade_id", "")


class CarefulExecute(Execute):
    """Run a submission so that whatever it does costs its own points and nothing else.

    A cell that kills its kernel, or cannot be interrupted, is left out and the rest is run again.
    """

    notebook_timeout = Integer(900, help="seconds for a whole notebook").tag(config=True)
    max_output = Integer(200_000, help="characters one cell may print").tag(config=True)
    max_restarts = Integer(4, help="fresh starts for one notebook").tag(config=True)
    _warned = False

    def __init__(self, **kwargs):
        if can_isolate():
            kwargs.setdefault("kernel_manager_class", IsolatedKernelManager)
        super().__init__(**kwargs)

    def preprocess(self, nb, resources, km=None):
        if not can_isolate() and not CarefulExecute._warned:
            CarefulExecute._warned = True
            self.log.warning(
                "NOT ISOLATED: bwrap does not work here, so submissions run with your rights: they "
                "can read source/ and the gradebook, write your files and use the network."
            )
        cells = source_cells(resources)
        self.locked = {
            name: cell.source
            for name, cell in sorted(cells.items())
            if cell.cell_type == "code" and utils.is_locked(cell) and not utils.is_grade(cell)
        }
        self.left_out, self.deadline = {}, time.monotonic() + self.notebook_timeout
        for _ in range(self.max_restarts + 1):
            try:
                return super().preprocess(copy.deepcopy(nb), resources)
            except (DeadKernelError, CellTimeoutError) as error:
                name = type(error).__name__
                self.log.error("%s in cell %s: it is left out", name, self.current)
                self.left_out[self.current] = error_output(name, "this cell stopped the kernel")
        self.deadline = 0  # no more patience: what has not run counts as failed
        return super().preprocess(copy.deepcopy(nb), resources)

    def start_new_kernel_client(self, **kwargs):
        client = super().start_new_kernel_client(**kwargs)
        # in names and built-ins of its own, which no later cell can redefine
        code = KERNEL_SIDE.read_text(encoding="utf-8")
        code += f"\ninstall(get_ipython(), {self.max_output})\n"
        names = "{'__builtins__': dict(vars(__import__('builtins'))), 'get_ipython': get_ipython}"
        code = f"exec({code!r}, {names})"
        reply = self.wait_for_reply(client.execute(code, silent=True))["content"]
        if reply["status"] != "ok":
            raise RuntimeError(f"kernel_side.py failed: {reply.get('evalue')}")
        return client

    def preprocess_cell(self, cell, resources, index):
        self.current, self.printed = index, 0
        if cell.cell_type != "code":
            return cell, resources
        if index in self.left_out or time.monotonic() > self.deadline:
            late = error_output("NotebookTimeoutError", "no time left for this cell")
            cell.outputs = [self.left_out.get(index, late)]
            return cell, resources
        if not utils.is_grade(cell):
            cell = self.execute_cell(cell, index, store_history=True)
        else:
            cell = self.run_check(cell, index)
        if any(output.get("ename") == "CellTimeoutError" for output in cell.outputs):
            # should a later cell force a fresh start, do not wait for this one again
            self.left_out[index] = error_output("CellTimeoutError", "too slow")
        return cell, resources

    def run_check(self, cell, index):
        """Run a check cell in names of its own; keep its report and one score."""
        source, points = cell.source, float(cell.metadata.nbgrader["points"])
        name = cell.metadata.nbgrader["grade_id"]
        # earlier locked cells are run again: their names are as the instructor wrote them
        locked = [text for key, text in self.locked.items() if key < name and not is_figure(key)]
        call = f"_homework_guard.run({locked!r}, {source!r}, {points!r})"
        cell.source = f"import _homework_guard\n{call}"
        cell = self.execute_cell(cell, index, store_history=False)
        cell.source = source
        results = [o for o in cell.outputs if o.output_type == "execute_result"][-1:]
        errors = [o for o in cell.outputs if o.output_type == "error"]
        text = [o for o in cell.outputs if o.output_type == "stream" and o.name == "stdout"]
        if not results and not errors:  # nbgrader would give full marks
            errors = [error_output("NoScoreError", "the check came to no score")]
        cell.outputs = text + (errors or results)
        return cell

    def process_message(self, msg, cell, cell_index):
        """Drop what is printed beyond the limit, and interrupt the cell that prints it."""
        content = msg["content"]
        if msg["msg_type"] in ("stream", "display_data", "execute_result"):
            texts = [content.get("text", ""), *content.get("data", {}).values()]
            before, self.printed = self.printed, self.printed + sum(len(str(t)) for t in texts)
            if self.printed > self.max_output:
                if before <= self.max_output:
                    message = f"more than {self.max_output} characters printed"
                    cell.outputs.append(error_output("OutputLimitError", message))
                    self.interrupt = asyncio.ensure_future(ensure_async(self.km.interrupt_kernel()))
                return None
        return super().process_message(msg, cell, cell_index)
