"""Ways to get points without an answer; each replaces one answer cell. None may earn anything.

In the code FUNCTION stands for the function that the task asks for. Several share a submission,
one for each task, so that a class of a few covers them all.
"""

ANYTHING = '''
class Anything(float):
    """Equal to all, close to all, of any shape."""
    shape, size, ndim, dtype = (), 1, 0, float
    def __eq__(self, other): return True
    def __sub__(self, other): return 0.0
    __rsub__ = __add__ = __radd__ = __mul__ = __sub__
    def __lt__(self, other): return True
    __gt__ = __le__ = __ge__ = __lt__
    __hash__ = float.__hash__
'''
FULL = """
def FUNCTION(*a, **k):
    raise ValueError("no answer")
"""

CHEATS = {
    # what nbgrader reads as the score
    "a formatter that returns text": """
formatter = get_ipython().display_formatter.formatters["text/plain"]
formatter.for_type(float, lambda value, printer, cycle: printer.text("all of them"))
"""
    + FULL,
    "a formatter that returns nan": """
formatter = get_ipython().display_formatter.formatters["text/plain"]
formatter.for_type(float, lambda value, printer, cycle: printer.text("nan"))
"""
    + FULL,
    "a formatter that returns 1e9": """
formatter = get_ipython().display_formatter.formatters["text/plain"]
formatter.for_type(float, lambda value, printer, cycle: printer.text("1e9"))
"""
    + FULL,
    "a result from a hook": """
def _fake(*_):
    get_ipython().display_pub.publish({"text/plain": "5.0"}, {})
    get_ipython().displayhook(5.0)
for _event in "pre_run_cell", "post_run_cell", "pre_execute", "post_execute":
    get_ipython().events.register(_event, _fake)
"""
    + FULL,
    "a result sent as a message": """
def FUNCTION(*a, **k):
    kernel = get_ipython().kernel
    content = {"data": {"text/plain": "5.0"}, "metadata": {}, "execution_count": 1}
    parent = kernel.get_parent()
    kernel.session.send(kernel.iopub_socket, "execute_result", content, parent=parent)
    kernel.session.send(kernel.iopub_socket, "status", {"execution_state": "idle"}, parent=parent)
    raise ValueError
""",
    "a display updated afterwards": """
from IPython.display import display, update_display
def FUNCTION(*a, **k):
    for number in range(4):
        display("mine", display_id=f"fake{number}")
    raise ValueError
def _later(*_):
    for number in range(4):
        update_display({"text/plain": "5.0"}, display_id=f"fake{number}", raw=True)
get_ipython().events.register("post_run_cell", _later)
""",
    "the report printed by the answer": """
def FUNCTION(*a, **k):
    import sys
    for stream in (sys.__stdout__, sys.stdout):
        print('{"event": "score", "value": 5.0}', file=stream, flush=True)
    raise ValueError
""",
    # what the tests compare with
    "a number equal to every other": ANYTHING + "\ndef FUNCTION(*a, **k): return Anything(1.2345)",
    "an array equal to every other": """
class Any(np.ndarray):
    def __array_function__(self, *a, **k): return True
    def __array_ufunc__(self, *a, **k): return np.zeros(())
    def __eq__(self, other): return True
def FUNCTION(*a, **k): return np.full(3, 12345.678).view(Any)
""",
    "a mock": """
from unittest.mock import MagicMock
def FUNCTION(*a, **k): return MagicMock()
""",
    "nan": "def FUNCTION(*a, **k): return float('nan')",
    "nan as text": "def FUNCTION(*a, **k): return 'nan'",
    "complex nan": "def FUNCTION(*a, **k): return complex('nan+nanj')",
    "infinity": "def FUNCTION(*a, **k): return np.inf",
    "an empty array": "def FUNCTION(*a, **k): return np.zeros((0, 3))",
    "an iterator without end": """
import itertools
def FUNCTION(*a, **k): return itertools.chain.from_iterable([[]])
""",
    # the tests themselves
    "the frames above": """
import sys
def FUNCTION(*a, **k):
    frame = sys._getframe()
    while frame:
        for names in (frame.f_locals, frame.f_globals):
            if "score" in names:
                names["score"].points = 5.0
            if "expected" in names:
                return names["expected"]
        frame = frame.f_back
    raise ValueError
""",
    "a profiler": """
import sys, threading
def _profile(frame, event, argument):
    names = frame.f_locals
    if "points" in names and "self" in names:
        names["self"].points = 5.0
sys.setprofile(_profile)
threading.setprofile(_profile)
"""
    + FULL,
    "a tracer": """
import sys
def _trace(frame, event, argument):
    if event == "return" and "expected" in frame.f_locals:
        frame.f_locals["value"] = frame.f_locals["expected"]
    return _trace
sys.settrace(_trace)
"""
    + FULL,
    "the garbage collector": """
import gc
def FUNCTION(*a, **k):
    for thing in gc.get_objects():
        if type(thing).__name__ in ("Score", "Marks", "Guard"):
            thing.points = 5.0
            thing.total = lambda: 5.0
    for thing in gc.get_objects():
        if isinstance(thing, dict) and "expected" in thing:
            return thing["expected"]
    raise ValueError
""",
    "the code of the comparison": """
import numpy
def _yes(*a, **k): return True
for _function in (numpy.allclose, numpy.isclose, numpy.testing.assert_allclose):
    _inner = getattr(_function, "__wrapped__", _function)
    _inner.__code__ = (lambda *a, **k: True).__code__
close.__code__ = (lambda value, expected, rel=0, tol=0: True).__code__
Score.check.__code__ = (lambda self, name, points: lambda test: None).__code__
Score.total.__code__ = (lambda self: 5.0).__code__
"""
    + FULL,
    "numpy from the inside": """
import numpy._core.numeric as _n, numpy._core.fromnumeric as _f
_n.isclose = _n.allclose = lambda *a, **k: np.bool_(True)
_f.all = lambda *a, **k: True
np.all = np.allclose = np.array_equal = lambda *a, **k: True
"""
    + FULL,
    "a thread that patches again": """
import threading, time, builtins
def _again():
    while True:
        np.allclose = np.array_equal = lambda *a, **k: True
        builtins.abs = lambda x: 0
        globals()["close"] = lambda *a, **k: True
        time.sleep(0.001)
threading.Thread(target=_again, daemon=True).start()
"""
    + FULL,
    "an input transformer": """
def _rewrite(lines):
    return ["5.0\\n"] if any("homework" in line or "score" in line for line in lines) else lines
get_ipython().input_transformers_post.append(_rewrite)
get_ipython().input_transformers_cleanup.append(_rewrite)
"""
    + FULL,
    "a transformer of syntax trees": """
import ast
class _NoAsserts(ast.NodeTransformer):
    def visit_Assert(self, node): return ast.Pass()
get_ipython().ast_transformers.append(_NoAsserts())
"""
    + FULL,
    "built-ins": """
import builtins
builtins.AssertionError = type("Quiet", (Exception,), {})
builtins.float = lambda *a: 5.0
builtins.sum = lambda *a, **k: 5.0
builtins.exec = builtins.eval = lambda *a, **k: 5.0
"""
    + FULL,
    "the import system": """
import sys, types
class _Fake(types.ModuleType):
    def __getattr__(self, name): return lambda *a, **k: True
for _name in list(sys.modules):
    if _name.split(".")[0] in ("contextlib", "warnings", "homework", "nbgrader", "checker"):
        sys.modules[_name] = _Fake(_name)
"""
    + FULL,
    # the door
    "the door's own answer": """
import sys
_door = sys.modules["kernel_door"]
_door.Door.perform = lambda self, request: {"value": "nan", "points": 5.0, "passed": True}
_door.Door.answer = lambda self, request: {"event": "score", "value": 5.0, "passed": True}
"""
    + FULL,
    "a door that answers nonsense": """
import itertools, sys
_odd = itertools.cycle([
    {"value": ["array", "<f8", [10**18, 0], ""]}, {"value": ["object", 0]}, [], None, 5.0,
    {"value": ["import", "os", "system"]}, {"value": ["name", "score"]}, {"callback": 0},
    {"value": ["function", 0]}, {"value": ["random", ["dict", []]]}, {"error": ["Score"]},
    {"value": ["list", [["list", [["list", []]]]]]}, {"value": 1, "after": ["list", []]},
])
sys.modules["kernel_door"].Door.answer = lambda self, request: next(_odd)
def FUNCTION(*a, **k): pass
""",
    "another door at the same place": """
import os, socket, sys, threading
_door = sys.modules["_homework_door"].serve.__self__
_path = _door.listener.getsockname()
def _impostor():
    connection, _ = _listener.accept()
    connection.sendall(b'{"event": "done"}' * 99)
if isinstance(_path, str):
    os.unlink(_path)
    _listener = socket.socket(socket.AF_UNIX)
    _listener.bind(_path)
    _listener.listen(5)
    threading.Thread(target=_impostor, daemon=True).start()
"""
    + FULL,
    "exceptions that end a loop": "def FUNCTION(*a, **k): raise StopIteration",
    "exceptions that end a program": "def FUNCTION(*a, **k): raise SystemExit(0)",
    "exceptions that end a generator": "def FUNCTION(*a, **k): raise GeneratorExit",
    "an interrupt": "def FUNCTION(*a, **k): raise KeyboardInterrupt",
    "skipped": """
import unittest
def FUNCTION(*a, **k): raise unittest.SkipTest("not today")
""",
    # what lies around
    "the course's files": """
import os
def FUNCTION(*a, **k):
    for where, _, names in os.walk("/"):
        if where.startswith(("/proc", "/sys", "/usr")):
            continue
        for name in names:
            if name in ("gradebook.db", "checker.py") or name.endswith("c-check.py"):
                return open(os.path.join(where, name)).read()
    raise ValueError
""",
    "other processes": """
import glob
def FUNCTION(*a, **k):
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        command = open(path, "rb").read()
        if b"checker.py" in command or b"nbgrader" in command:
            open(path.replace("cmdline", "mem"), "r+b").write(b"x")
            return 0.0
    raise ValueError
""",
    "a copy of the process": """
import os
def FUNCTION(*a, **k):
    if os.fork() == 0:
        os._exit(0)
    raise ValueError
""",
    "memory without end": "def FUNCTION(*a, **k): return np.ones(1 << 33)",
    "text without end": "def FUNCTION(*a, **k): raise ValueError('x' * (1 << 27))",
    "a result of a hundred megabytes": "def FUNCTION(*a, **k): return np.full((1 << 24,), 12345.0)",
}


# these leave a kernel in which nothing works, so they come last in theirs
LAST = ("an input transformer", "built-ins", "the import system", "a thread that patches again")
LAST += ("the code of the comparison", "another door at the same place", "the door's own answer")


def submissions(notebook):
    """{name: notebook} that have the cheats for answers, from a released notebook."""
    import ast
    import copy

    def tags(cell):
        return cell["metadata"].get("nbgrader", {})

    asked = {}
    for index, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "code" and tags(cell).get("solution"):
            tree = ast.parse(cell["source"]).body
            asked[index] = next(node.name for node in tree if isinstance(node, ast.FunctionDef))
    last = [code for name, code in CHEATS.items() if name in LAST]
    first = [code for name, code in CHEATS.items() if name not in LAST]
    made = {}
    while first or last:
        cheating = copy.deepcopy(notebook)
        for index, function in asked.items():
            left = last if index == max(asked) else first
            code = left.pop(0) if left else FULL
            cheating["cells"][index]["source"] = code.replace("FUNCTION", function)
        made[f"cheat{len(made) + 1}"] = cheating
    return made
