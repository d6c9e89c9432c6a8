"""The grader's side of a check: starts the process with the tests and follows what it reports."""

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import weakref
from pathlib import Path
from typing import ClassVar

from grading_box import box_command, can_isolate, limits

HERE = Path(__file__).resolve().parent
PARTS = ("checker.py", "answer_door.py", "plain_values.py")


def start_checker(doors, files):
    """Start checker.py, in a box of its own that sees the folder of doors but no submission.

    files is the folder of the assignment's other files, where locked cells find their data.
    """
    command = [sys.executable, str(HERE / "checker.py"), str(files)]
    if can_isolate():
        seen = {HERE / name: f"/checker/{name}" for name in PARTS} | {files: "/checker/files"}
        package = HERE.parents[1] / "vi_helpers"
        seen |= {package: "/checker/vi_helpers"} if package.is_dir() else {}
        box = [*limits(), *box_command(doors, readable=seen)]
        command = [*box, sys.executable, "/checker/checker.py", "/checker/files"]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, encoding="utf-8",
    )  # fmt: skip


class Checker:
    """One such process for an assignment; started anew should it have died.

    It serves one submission after another: only plain values of theirs ever reach it.
    """

    started: ClassVar[dict] = {}

    @classmethod
    def of(cls, files):
        """The process for the assignment with this folder of files."""
        if files not in cls.started:
            cls.started[files] = cls(files)
        return cls.started[files]

    def __init__(self, files):
        self.files, self.doors = files, Path(tempfile.mkdtemp(prefix="door-"))
        self.process = start_checker(self.doors, files)
        weakref.finalize(self, shutil.rmtree, self.doors, ignore_errors=True)
        weakref.finalize(self, self.process.kill)

    def new_door(self):
        """A folder for the next kernel, and where it is to listen: a path in it, or a port."""
        folder = Path(tempfile.mkdtemp(dir=self.doors))
        if hasattr(socket, "AF_UNIX"):
            return folder, str(folder / "door")
        with socket.create_server(("127.0.0.1", 0)) as server:
            return folder, list(server.getsockname())

    def send(self, **job):
        if self.process.poll() is not None:
            self.process = start_checker(self.doors, self.files)
        print(json.dumps(job), file=self.process.stdin, flush=True)

    def event(self):
        """The next event as a dictionary; waits for it. Its death is a last event."""
        line = self.process.stdout.readline()
        dead = {"event": "done", "error": "the check had to be stopped", "stuck": True}
        return json.loads(line) if line else dead
