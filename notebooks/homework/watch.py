"""Limits that hold for a submission as a whole: a thread that looks at its processes and files."""

import contextlib
import os
import threading

import psutil

PROCESSES, FILES = 300, 5000


class Watch(threading.Thread):
    """Kills process when it and its children use more than memory bytes, or folder more than disk.

    why then says in words what the limit was. prlimit holds for each process by itself only, and
    control groups need rights that an instructor on a shared server does not have.
    """

    def __init__(self, process, folder, memory, disk, every=0.25):
        super().__init__(daemon=True)
        self.process, self.folder = process, folder
        self.memory, self.disk, self.every, self.why = memory, disk, every, ""
        self.stopped = threading.Event()
        self.start()

    def run(self):
        while not self.stopped.wait(self.every) and self.process.poll() is None:
            self.why = self.excess()
            if self.why:
                self.process.kill()
                return

    def excess(self):
        """Which limit is passed, or an empty string."""
        with contextlib.suppress(psutil.Error):
            parent = psutil.Process(self.process.pid)
            family = [parent, *parent.children(recursive=True)]
            if len(family) > PROCESSES:
                return f"more than {PROCESSES} processes"
            if total(family, "rss") > self.memory and total(family, "pss") > self.memory:
                return f"more than {self.memory / 2**30:g} GiB of memory"
        if used(self.folder, self.disk) > self.disk:
            return f"more than {self.disk / 2**20:g} MiB of files"
        return ""


def total(family, kind):
    """Resident memory; pss counts what processes share once, and takes longer to find."""
    size = 0
    for member in family:
        with contextlib.suppress(psutil.Error):
            info = member.memory_info() if kind == "rss" else member.memory_full_info()
            size += getattr(info, kind, info.rss)
    return size


def used(folder, most):
    """Bytes in the files below folder; counts no further than needed."""
    size = count = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                size += os.lstat(os.path.join(where, name)).st_size
            count += 1
            if size > most or count > FILES:
                return most + 1
    return size
