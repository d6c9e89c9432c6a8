"""Grading that survives whatever a submission does.

CarefulExecute runs the student's cells in a kernel in a box, with limits. Check cells never go
there: they run in checker.py, which calls what the student wrote through the door.
"""

import asyncio
import copy
import os
import time
from pathlib import Path

import kept_runs
from cell_rules import is_figure
from checking import Checker
from grading_box import GradingKernelManager, can_isolate
from jupyter_core.utils import ensure_async, run_sync
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat.v4 import new_code_cell, new_output
from nbgrader import utils
from nbgrader.preprocessors import Execute
from reports import Report, error_output, failed_in_sight, quote, trimmed
from restore_cells import answers, source_cells
from traitlets import Integer

HERE = Path(__file__).parent
SERVE = "import _homework_door\n_homework_door.serve()"
SENT = ("plain_values", "kernel_door")
PATIENCE = 180  # seconds for a locked cell, which may be the first to import a large library
SLACK = 60  # seconds by which the process with the tests may overrun before it is stopped


class CarefulExecute(Execute):
    """Run a submission so that whatever it does costs its own points and nothing else.

    A cell that kills its kernel, or cannot be interrupted, is left out and the rest is run again;
    what a check cell earned stays.
    """

    notebook_timeout = Integer(900, help="seconds for a whole notebook").tag(config=True)
    max_output = Integer(200_000, help="characters one cell may print").tag(config=True)
    max_restarts = Integer(4, help="fresh starts for one notebook").tag(config=True)
    _warned = False

    def __init__(self, **kwargs):
        kwargs.setdefault("kernel_manager_class", GradingKernelManager)
        super().__init__(**kwargs)

    def preprocess(self, nb, resources, km=None):
        self.warn()
        known = source_cells(resources)
        self.locked = {
            name: cell.source
            for name, cell in sorted(known.items())
            if cell.cell_type == "code" and utils.is_locked(cell) and not utils.is_grade(cell)
        }
        self.answers = answers(known)
        files = self.files = HERE / "source" / resources["nbgrader"]["assignment"]
        limits = (self.timeout, self.notebook_timeout, self.max_output, can_isolate())
        key = kept_runs.key_of(nb, known, resources["metadata"]["path"], limits)
        if kept := kept_runs.find(key):
            return kept, resources
        self.deadline = time.monotonic() + self.notebook_timeout
        self.checker = Checker.of(files if files.is_dir() else HERE)
        graded = self.run_all(nb, resources, hidden=True)
        if any(failed_in_sight(cell) for cell in graded[0].cells):
            # what feedback quotes comes from a run in which no hidden test was called
            shown, _ = self.run_all(nb, resources, hidden=False)
            for cell, seen in zip(graded[0].cells, shown.cells, strict=True):
                quote(cell, seen)
        kept_runs.keep(key, graded[0])
        return graded

    def warn(self):
        if CarefulExecute._warned:
            return
        CarefulExecute._warned = True
        if not can_isolate():
            self.log.warning(
                "NOT ISOLATED: bwrap does not work here, so submissions run with your rights: they "
                "can read source/ and the gradebook, write your files and use the network."
            )
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            self.log.warning("GRADING AS ROOT: use an account that owns nothing but the course.")

    def run_all(self, nb, resources, hidden):
        """Run the notebook, afresh without the cell that stopped the kernel, until it is through.

        hidden says whether the hidden tests are run too.
        """
        self.hidden, self.left_out, self.checked = hidden, {}, {}
        self.checker.send(do="forget")
        for _ in range(self.max_restarts + 1):
            try:
                return super().preprocess(copy.deepcopy(nb), resources)
            except (DeadKernelError, CellTimeoutError) as error:
                name, why = type(error).__name__, getattr(self.watch, "why", "")
                self.log.error("%s in cell %s: it is left out %s", name, self.current, why)
                if self.current not in self.checked:
                    message = f"this cell stopped Python {why and f'({why})'}".strip()
                    self.left_out[self.current] = error_output(name, message)
        self.deadline = 0  # no more patience: what has not run counts as failed
        return super().preprocess(copy.deepcopy(nb), resources)

    def create_kernel_manager(self):
        km = super().create_kernel_manager()
        km.doors, self.address = self.checker.new_door()
        return km

    def start_new_kernel_client(self, **kwargs):
        client = super().start_new_kernel_client(**kwargs)
        self.watch = self.km.watch
        modules = {
            n: (HERE / f"{n}.py").read_text("utf-8") for n in ("plain_values", "kernel_door")
        }
        # in names and built-ins of its own, which no later cell can redefine
        code = (HERE / "kernel_side.py").read_text(encoding="utf-8")
        more = f"{self.max_output}, {self.address!r}, {modules!r}, {str(self.km.folder / 'work')!r}"
        code += f"\ninstall(get_ipython(), {more})\n"
        names = "{'__builtins__': dict(vars(__import__('builtins'))), 'get_ipython': get_ipython}"
        reply = self.wait_for_reply(client.execute(f"exec({code!r}, {names})", silent=True))
        if reply is None or reply["content"]["status"] != "ok":
            raise RuntimeError(f"kernel_side.py failed: {reply and reply['content'].get('evalue')}")
        return client

    def preprocess_cell(self, cell, resources, index):
        self.current, self.printed = index, 0
        if cell.cell_type != "code":
            return cell, resources
        if index in self.checked:
            cell.outputs = copy.deepcopy(self.checked[index])
            return cell, resources
        if index in self.left_out or time.monotonic() > self.deadline:
            late = error_output("NotebookTimeoutError", "no time left for this cell")
            cell.outputs = [self.left_out.get(index, late)]
            return cell, resources
        if utils.is_grade(cell) and not utils.is_solution(cell):
            self.run_check(cell, index)
            return cell, resources
        cell = self.run_cell(cell, index)
        cell.outputs = [trimmed(output) for output in cell.outputs]
        if any(output.get("ename") == "CellTimeoutError" for output in cell.outputs):
            # should a later cell force a fresh start, do not wait for this one again
            self.left_out[index] = error_output(
                "CellTimeoutError", f"stopped after {self.timeout} s"
            )
        return cell, resources

    def run_cell(self, cell, index):
        """Run a cell; a figure of the assignment's is not drawn again, only its names are made."""
        source, picture = cell.source, kept_runs.picture_of(self.files, cell.source)
        if picture:
            cell.source = source.replace("plt.show()", 'plt.close("all")')
        cell = self.execute_cell(cell, index, store_history=True)
        cell.source = source
        if picture and not cell.outputs:
            cell.outputs = copy.deepcopy(picture)
        return cell

    def run_check(self, cell, index):
        """Run a check cell where the tests are; raises DeadKernelError if that cost the kernel."""
        name = cell.metadata.nbgrader["grade_id"]
        report = Report(float(cell.metadata.nbgrader["points"]))
        locked = [text for key, text in self.locked.items() if key < name and not is_figure(key)]
        self.checker.send(
            do="run", source=cell.source, locked=locked, answers=self.answers,
            address=self.address, limit=self.timeout, hidden=self.hidden,
        )  # fmt: skip
        alive = self.follow(report, index)
        text = "".join(f"{line}\n" for line in report.lines)
        total = new_output("execute_result", {"text/plain": repr(report.points)})
        total.metadata["checks"], total.metadata["error"] = report.checks, report.error
        self.checked[index] = [new_output("stream", text=text), total] if text else [total]
        cell.outputs = copy.deepcopy(self.checked[index])
        self.nb.cells[index] = cell  # nbclient has put the call to the door there
        if not alive:
            raise DeadKernelError("the kernel died in a check")

    async def async_follow(self, report, index):
        """Take in what the checker reports while the kernel serves; False if the kernel is lost."""
        self.serving = new_code_cell(SERVE)
        serve = asyncio.ensure_future(self.async_execute_cell(self.serving, index, None, False))
        stuck, limit = False, time.monotonic() + self.timeout * 3 + SLACK
        while True:
            line = asyncio.get_running_loop().run_in_executor(None, self.checker.event)
            while not line.done():
                waiting = {line} if serve.done() else {line, serve}
                await asyncio.wait(waiting, timeout=1, return_when=asyncio.FIRST_COMPLETED)
                if serve.done() and not line.done():
                    self.checker.send(do="gone")
                    await asyncio.wait({line}, timeout=1)
                if time.monotonic() > limit:
                    self.checker.process.kill()
            event = line.result()
            if event["event"] == "interrupt":
                await ensure_async(self.km.interrupt_kernel())
                limit += self.timeout
            report.add(event)
            if event["event"] == "done":
                stuck = event["stuck"]
                break
        await asyncio.wait({serve}, timeout=0.1 if stuck else 5)
        lost = not serve.done() or serve.exception() is not None
        if not serve.done():
            serve.cancel()
            await asyncio.gather(serve, return_exceptions=True)
        self.serving = None
        return not lost

    follow = run_sync(async_follow)
    serving = watch = None

    async def _async_check_alive(self):
        if self.kc is None:  # a poll that outlives its kernel
            raise DeadKernelError("Kernel died")
        await super()._async_check_alive()

    def _get_timeout(self, cell):
        """The checker keeps the time of its checks; the instructor's cells may import slowly."""
        if cell is not None and cell is self.serving:
            return None
        own = cell is None or utils.is_locked(cell)
        return max(self.timeout, PATIENCE) if own else super()._get_timeout(cell)

    def process_message(self, msg, cell, cell_index):
        """Drop what is printed beyond the limit, and interrupt the cell that prints it.

        Of a check only its end counts: what it displays could be changed by a later cell.
        """
        kind, content = msg["msg_type"], msg["content"]
        if kind.startswith("comm_") or (cell is self.serving and kind != "status"):
            return None
        if kind in ("stream", "display_data", "execute_result", "update_display_data", "error"):
            texts = [content.get("text", ""), *content.get("data", {}).values()]
            texts += [content.get("evalue", ""), *content.get("traceback", [])]
            before, self.printed = self.printed, self.printed + sum(len(str(t)) for t in texts)
            if self.printed > self.max_output and kind != "error":
                if before <= self.max_output:
                    message = f"more than {self.max_output} characters printed"
                    cell.outputs.append(error_output("OutputLimitError", message))
                    self.interrupt = asyncio.ensure_future(ensure_async(self.km.interrupt_kernel()))
                return None
        return super().process_message(msg, cell, cell_index)
