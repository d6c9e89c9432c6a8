"""A run that is killed loses nothing: the same command again leads to the same gradebook."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("nbgrader")
from homework import tiny

CODES = {
    "right": tiny.RIGHT,
    "half": "def square(x):\n    return abs(x) / 2",
    "wrong": "def square(x):\n    return x",
}
KILLS = int(os.environ.get("VI_KILLS", "3"))
SIGNALS = [signal.SIGKILL, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The class graded in one go, its gradebook, and how long the run took."""
    course = tiny.make_course(tmp_path_factory.mktemp("whole"))
    for student, code in CODES.items():
        tiny.hand_in(course, student, code=code, text="because" if student == "half" else None)
    begin = time.monotonic()
    done = tiny.nbgrader(course, "autograde", "hw9")
    assert done.returncode == 0, done.stderr
    return course, tiny.gradebook(course), time.monotonic() - begin


def test_the_gradebook_of_the_class_is_what_the_answers_earn(whole):
    _, book, _ = whole
    assert {s: grades["hw9-01b-check"][0] for s, grades in book.items()} == {
        "right": 4.0, "half": 1.0, "wrong": 0.0,
    }  # fmt: skip
    assert {s for s, grades in book.items() if grades["hw9-02-why"][1]} == {"half"}


def test_runs_killed_at_random_moments_lose_nothing(whole, tmp_path_factory):
    """A class of as many students as kills, so that there is work left when the last one comes."""
    _, book, seconds = whole
    course = tiny.make_course(tmp_path_factory.mktemp("killed"))
    names = {f"{name}{n}": name for n in range(-(-KILLS // len(CODES))) for name in CODES}
    for student, name in names.items():
        text = "because" if name == "half" else None
        tiny.hand_in(course, student, code=CODES[name], text=text)
    rng = random.Random(time.time_ns())
    halfway, graded = 0, []
    for number in range(KILLS):
        before = set(course.glob("autograded/*"))
        run = subprocess.Popen(
            [sys.executable, *tiny.NBGRADER, "autograde", "hw9"],
            cwd=course, env=tiny.environment(course),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        # in the time of about one submission, counted from when the run begins its first
        while number % 4 and run.poll() is None and set(course.glob("autograded/*")) <= before:
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 0.4) * seconds)
        run.send_signal(SIGNALS[number % 3])
        run.wait(60)
        listing = tiny.nbgrader(course, "hw9", program=["triage.py"])
        assert listing.returncode == 0, listing.stderr
        begun = list(course.glob("autograded/*/hw9"))
        graded.append(len(list(course.glob("autograded/*/hw9/hw9.ipynb"))))
        if begun and "not graded to the end" in listing.stdout:
            halfway += 1
    done = tiny.nbgrader(course, "autograde", "hw9")
    assert done.returncode == 0, done.stderr
    assert tiny.gradebook(course) == {student: book[name] for student, name in names.items()}
    listing = tiny.nbgrader(course, "hw9", program=["triage.py"]).stdout
    assert "not graded" not in listing
    print(f"graded after each kill: {graded}; {halfway} of {KILLS} left work to do")


def test_a_notebook_without_its_last_mark_is_not_taken_for_graded(whole):
    course, expected, _ = whole
    path = course / "autograded/right/hw9/hw9.ipynb"
    path.chmod(0o644)
    text = path.read_text(encoding="utf-8")
    path.write_text(text[: len(text) // 2], encoding="utf-8")
    listing = tiny.nbgrader(course, "hw9", program=["triage.py"]).stdout
    assert "was stopped halfway: run nbgrader autograde hw9" in listing
    assert "1 not graded to the end" in listing
    assert tiny.nbgrader(course, "generate_feedback", "hw9").returncode != 0
    assert not (course / "feedback/right").exists()
    assert (course / "feedback/half/hw9/hw9.html").exists()
    assert tiny.nbgrader(course, "autograde", "hw9").returncode == 0
    assert tiny.gradebook(course) == expected
    page = course / "feedback/half/hw9/hw9.html"
    page.chmod(0o644)
    page.write_text(page.read_text(encoding="utf-8")[:2000], encoding="utf-8")
    assert tiny.nbgrader(course, "generate_feedback", "hw9").returncode == 0
    assert page.read_text(encoding="utf-8").rstrip().endswith("</html>")
