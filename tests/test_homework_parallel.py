"""Grading on several workers gives the gradebook of grading one after another."""

import os
import pickle
import runpy
import signal
import subprocess
import sys
import time

import psutil
import pytest

pytest.importorskip("nbgrader")
pytest.importorskip("distributed", reason="dask.distributed is not installed")
from homework import tiny

CODES = {
    "right": tiny.RIGHT,
    "half": "def square(x):\n    return abs(x) / 2",
    "slow": tiny.RIGHT + "\nimport time\ntime.sleep(4)",
    "kills": tiny.RIGHT + "\nimport os\nos._exit(1)",
    "wrong": "def square(x):\n    return x",
}


def hand_in_all(course):
    for student, code in CODES.items():
        tiny.hand_in(course, student, code=code, text="because" if student == "half" else None)
    tiny.hand_in(course, "broken", {"cells": 3})
    return course


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    course = hand_in_all(tiny.make_course(tmp_path_factory.mktemp("one")))
    done = tiny.nbgrader(course, "autograde", "hw9")
    assert done.returncode != 0 and "broken" in done.stderr
    book = tiny.gradebook(course)
    assert {s: g["hw9-01b-check"][0] for s, g in book.items()} == {
        "right": 4.0, "half": 1.0, "slow": 4.0, "kills": 0.0, "wrong": 0.0, "broken": None,
    }  # fmt: skip
    return book


def start(course, workers):
    return subprocess.Popen(
        [sys.executable, "grade.py", "hw9", "--workers", str(workers)],
        cwd=course, env=tiny.environment(course), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip


def test_a_task_can_be_sent_to_a_worker_that_does_not_know_the_script():
    """The workers of a cluster get the function itself: they did not start with grade.py."""
    cloudpickle = pytest.importorskip("cloudpickle")
    names = runpy.run_path(str(tiny.HOMEWORK / "grade.py"), run_name="not_known_there")
    assert callable(pickle.loads(cloudpickle.dumps(names["run_one"])))


def test_two_workers_give_the_same_gradebook_though_one_is_killed(expected, tmp_path_factory):
    course = hand_in_all(tiny.make_course(tmp_path_factory.mktemp("two")))
    run, killed = start(course, 2), []
    family = psutil.Process(run.pid)
    for _ in range(600):
        time.sleep(0.2)
        busy = [p for p in family.children(recursive=True) if p.name().startswith("bwrap")]
        if busy and not killed:  # a worker that has a submission in its box
            worker = busy[0]
            while worker.name().startswith("bwrap"):
                worker = worker.parent()
            if worker.pid != run.pid:
                worker.send_signal(signal.SIGKILL)
                killed.append(worker.pid)
        if run.poll() is not None or killed:
            break
    output = run.communicate(timeout=600)[0]
    assert killed or not os.path.exists("/usr/bin/bwrap"), output[-2000:]
    assert "submission" in output  # the progress bar
    assert tiny.gradebook(course) == expected, output[-3000:]
    assert not (course / "runs" / "hw9").exists()


def test_a_stopped_run_goes_on_with_what_is_done(expected, tmp_path_factory):
    course = hand_in_all(tiny.make_course(tmp_path_factory.mktemp("stopped")))
    run = start(course, 1)
    for _ in range(600):
        time.sleep(0.2)
        if list(course.glob("runs/hw9/*.ipynb")):
            break
    run.kill()
    run.communicate(timeout=60)
    kept = {p.name: p.stat().st_mtime_ns for p in course.glob("runs/hw9/*.ipynb")}
    assert kept and tiny.gradebook(course) != expected  # the first may be in it already
    again = start(course, 1)
    output = again.communicate(timeout=600)[0]
    assert tiny.gradebook(course) == expected, output[-3000:]
