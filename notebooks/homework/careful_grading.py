"""What this course adds to nbgrader: grading that survives anything, feedback that hides tests.

nbgrader_config.py switches these on:
RestoreCells   puts back test cells that a student edited, retagged or deleted.
CarefulExecute runs a submission in a box, with limits, and its tests apart from its names.
HideTests      takes hidden tests, and outputs that could quote them, out of the feedback.
"""

import asyncio
import copy
import functools
import re
import shutil
import site
import subprocess
import sys
import tempfile
import time
import weakref
from pathlib import Path

from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import ensure_async
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from nbgrader import utils
from nbgrader.api import Gradebook
from nbgrader.preprocessors import Execute, NbGraderPreprocessor
from traitlets import Integer, List

HIDDEN = re.compile(r"^[ \t]*### BEGIN HIDDEN TESTS.*?### END HIDDEN TESTS[^\n]*\n?", re.M | re.S)
CHECK = re.compile(r"@score\.check\(\s*(\"[^\"]*\"|'[^']*'),\s*([\d.]+)\s*,?\s*\)")
KERNEL_SIDE = Path(__file__).with_name("kernel_side.py")


# ---------------------------------------------------------------- the box


def system_paths():
    """What a kernel must see: the system's libraries and this Python; no home, no course."""
    etc = ["ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "fonts", "localtime"]
    paths = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", *(f"/etc/{name}" for name in etc)]
    paths += [sys.base_prefix, sys.prefix, str(Path(sys.executable).resolve().parents[1])]
    paths += [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    return [path for path in dict.fromkeys(paths) if path != "/" and Path(path).exists()]


def box_command(folder, hidden=()):
    """The bwrap command line: only `folder` is writable, no network, `hidden` covered."""
    command = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--clearenv"]
    command += ["--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]
    for path in system_paths():
        command += ["--ro-bind", path, path]
    for path in map(Path, hidden):
        if path.is_dir() and any(path.is_relative_to(other) for other in system_paths()):
            command += ["--tmpfs", str(path)]
            for inner in system_paths():  # such as a virtual environment in the repository
                command += ["--ro-bind", inner, inner] if Path(inner).is_relative_to(path) else []
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "LANG": "C.UTF-8"}
    variables["PYTHONUSERBASE"] = site.getuserbase()
    variables |= {"OMP_NUM_THREADS": "1", "MPLCONFIGDIR": f"{folder}/matplotlib"}
    for name, value in variables.items():
        command += ["--setenv", name, value]
    command += ["--bind", str(folder), str(folder), "--remount-ro", "/"]
    return [*command, "--chdir", f"{folder}/work", "--"]


@functools.cache
def can_isolate():
    """Whether bwrap is installed and the system lets it work."""
    if shutil.which("bwrap") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "work").mkdir()
        command = box_command(folder, IsolatedKernelManager.hidden)
        command += [sys.executable, "-c", "import ipykernel, scipy, matplotlib"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


class IsolatedKernelManager(AsyncKernelManager):
    """Starts each kernel in a box of its own, in a temporary folder that goes with it."""

    hidden = ()  # folders to cover although they lie below a system path
    memory_gib, file_mib = 4, 100

    def __init__(self, **kwargs):
        self.folder = Path(tempfile.mkdtemp(prefix="grade-"))
        (self.folder / "work").mkdir()
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        super().__init__(**kwargs)
        # a box without network is reached through files in its folder
        self.transport, self.connection_file = "ipc", str(self.folder / "kernel.json")
        self.ip = str(self.folder / "kernel-ipc")
        self.copy_font_cache()

    def copy_font_cache(self):
        """Without matplotlib's list of fonts each kernel would spend seconds on making it."""
        try:
            import matplotlib.font_manager

            shutil.copytree(
                matplotlib.get_cachedir(),
                self.folder / "matplotlib",
                ignore=lambda folder, names: [n for n in names if not n.startswith("fontlist")],
            )
        except (ImportError, OSError):
            (self.folder / "matplotlib").mkdir(exist_ok=True)

    def format_kernel_cmd(self, extra_arguments=None):
        # a signal to bwrap would kill it, so interrupts travel as messages
        self.kernel_spec.interrupt_mode = "message"
        limits = []
        if shutil.which("prlimit"):
            limits = [f"--as={self.memory_gib << 30}", f"--fsize={self.file_mib << 20}", "--core=0"]
            limits = ["prlimit", *limits]
        command = super().format_kernel_cmd(extra_arguments)
        return [*limits, *box_command(self.folder, self.hidden), *command]

    async def start_kernel(self, **kwargs):
        """Copy the submission's other files into the box and start there."""
        submitted = Path(kwargs.pop("cwd", None) or self.folder)
        for path in submitted.iterdir() if submitted != self.folder else ():
            if path.is_file() and not path.is_symlink() and path.suffix != ".ipynb":
                shutil.copy(path, self.folder / "work")
        await super().start_kernel(
            cwd=str(self.folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **kwargs
        )


# ---------------------------------------------------------------- running a submission


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
        names = "{'__builtins__': dict(vars(__import__('builtins'))), 'get_ipython': get_ipython"
        names += f", 'max_output': {self.max_output}}}"
        code = f"exec({KERNEL_SIDE.read_text(encoding='utf-8')!r}, {names})"
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
        locked = [text for key, text in self.locked.items() if key < name and key[-5:] != "-show"]
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


# ---------------------------------------------------------------- feedback


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
