"""What nbval needs beyond its options: quiet threads, and a dead kernel noticed at once."""

import os
import sys
import time
from queue import Empty

import pytest

# Through nbval, jsonschema builds grammars of web addresses if it can: 2 s a process, and no use
# here. So pyproject.toml keeps pytest from loading nbval (-p no:nbval), and it is loaded here.
pytest_plugins = [] if "nbval.plugin" in sys.modules else ["nbval.plugin"]
sys.modules.setdefault("rfc3987_syntax", None)
from nbval.kernel import RunningKernel  # noqa: E402

# Two workers with one thread each beat two workers that fight for the same cores.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def _await_reply(self, msg_id, timeout=None):
    """As nbval's own, but look every second whether the kernel still lives.

    nbval waits out the whole cell timeout when a kernel dies in a cell.
    """
    deadline = time.monotonic() + (timeout or float("inf"))
    while True:
        try:
            message = self.get_message("shell", timeout=1)
        except Empty:
            if not self.is_alive():
                raise RuntimeError("the kernel died while it ran this cell") from None
            if time.monotonic() > deadline:
                raise
            continue
        if message["parent_header"].get("msg_id") == msg_id:
            if message["content"]["status"] == "aborted":
                raise RuntimeError("the kernel aborted this cell")
            return


RunningKernel.await_reply = _await_reply


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Start with the notebooks, the slowest first, so that no worker idles at the end."""
    items.sort(key=lambda item: (item.path.suffix != ".ipynb", _descending(item.path.name)))


def _descending(name):
    return [-ord(letter) for letter in name]
