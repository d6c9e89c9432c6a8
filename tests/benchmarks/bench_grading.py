"""grade.py on 1, 2, 4 workers against `nbgrader autograde`: a class of hw1, equal gradebooks.

Run by hand on an idle machine: python tests/benchmarks/bench_grading.py [students] [workers ...]
Every student's notebook is another; every third has one wrong answer, so that feedback's second run
is in the times as well. Prints seconds, processor seconds of all processes, and ratios. A worker
count of 0 is `nbgrader autograde`. The last column says what the machine itself gains: as many
processes as workers, each of which only imports scipy.stats and matplotlib, against one.
"""

import copy
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))
from homework import course as tools
from homework import tables

NAME = "hw1"


class Processors(threading.Thread):
    """Adds up the processor seconds of this process's descendants, the killed ones too."""

    def __init__(self):
        super().__init__(daemon=True)
        self.used, self.stopped = {}, threading.Event()
        self.start()

    def run(self):
        while not self.stopped.wait(0.2):
            for process in psutil.Process().children(recursive=True):
                try:
                    times = process.cpu_times()
                    self.used[process.pid, process.create_time()] = times.user + times.system
                except psutil.Error:
                    pass

    def total(self):
        self.stopped.set()
        self.join()
        return sum(self.used.values())


def hand_in_class(course, students):
    """Each student answers with right entries of the table, every third with one wrong one."""
    tasks, source = tables.tasks_of(NAME), tools.filled(course, NAME)
    for number in range(students):
        notebook = copy.deepcopy(source)
        cells = {tools.tags(c).get("grade_id"): c for c in notebook["cells"]}
        for place, task in enumerate(tasks):
            kind = "wrong" if number % 3 == 0 and number % len(tasks) == place else "right"
            entry = task[kind][number % len(task[kind])]
            cells[task["answer"]]["source"] = f"{entry['code']}\n# {number}"
        tools.hand_in(course, f"student{number:03}", NAME, notebook)


def grade(course, workers):
    """(seconds, processor seconds, scores) of grading the class afresh."""
    for folder in "autograded", "runs":
        shutil.rmtree(course / folder, ignore_errors=True)
    shutil.copy(course / "fresh.db", course / "gradebook.db")
    command = ["grade.py", NAME, "--workers", str(workers)]
    processors, begin = Processors(), time.perf_counter()
    done = tools.run(course, *(command if workers else ["-m", "nbgrader", "autograde", NAME]))
    seconds = time.perf_counter() - begin
    assert done.returncode == 0, done.stderr[-2000:]
    return seconds, processors.total(), tools.scores(course, NAME)


def machine(workers):
    """Imports a second of this machine, with so many at a time."""
    command = [sys.executable, "-c", "import scipy.stats, matplotlib.pyplot"]
    begin = time.perf_counter()
    for _ in range(3):
        running = [subprocess.Popen(command) for _ in range(workers)]
        assert not any(process.wait() for process in running)
    return 3 * workers / (time.perf_counter() - begin)


def main(students=40, *workers):
    os.environ["OMP_NUM_THREADS"] = "1"
    first = {}
    with tempfile.TemporaryDirectory() as folder:
        course = tools.make_course(Path(folder), NAME)
        shutil.copy(course / "gradebook.db", course / "fresh.db")
        hand_in_class(course, int(students))
        machine(1)  # from the disk into memory
        print("workers  seconds  a submission  processor s a submission  gain  of the machine")
        for number in map(int, workers or (1, 2, 4)):
            seconds, used, scores = grade(course, number)
            rate = machine(max(number, 1))
            first = first or {"seconds": seconds, "rate": rate, "scores": scores}
            assert scores == first["scores"], "another gradebook"
            print(f"{number:7} {seconds:8.1f} {seconds / int(students):13.2f} "
                  f"{used / int(students):25.2f} {first['seconds'] / seconds:5.2f} "
                  f"{rate / first['rate']:15.2f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
