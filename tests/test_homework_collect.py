"""Before grading: what is collected, what is passed over, and what the triage says of it."""

import re
import shutil
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("nbgrader")
from homework import course as tools


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    return tools.make_course(tmp_path_factory.mktemp("released"), "hw2")


@pytest.fixture
def before_grading(released, tmp_path):
    """A course in which hw1 is graded and hw2 is only released."""
    shutil.copytree(released, tmp_path, dirs_exist_ok=True)
    (tmp_path / "autograded" / "reference" / "hw1").mkdir(parents=True)
    return tmp_path


def test_an_assignment_not_yet_autograded_is_not_held_against_anybody(before_grading):
    tools.hand_in(before_grading, "anna", "hw2", tools.released(before_grading, "hw2"))
    listing = tools.run(before_grading, "triage.py", "hw2")
    assert listing.returncode == 0, listing.stderr
    assert listing.stdout.splitlines() == [
        "1 handed in, 1 of them without anything odd.",
        "Not autograded yet.",
    ]


def test_an_unknown_assignment_is_refused_in_one_line(before_grading):
    listing = tools.run(before_grading, "triage.py", "hw9")
    assert listing.returncode == 2 and not listing.stdout
    assert listing.stderr == "no release/hw9/hw9.ipynb; released: hw2\n"


def test_files_are_collected_by_name_and_the_others_listed(before_grading):
    archive = before_grading / "downloaded" / "hw2" / "archive"
    archive.mkdir(parents=True)
    released = before_grading / "release" / "hw2" / "hw2.ipynb"
    for name in "eva", "anna_lee", "bob_lee", "Bruce-Lee.2":
        shutil.copy(released, archive / f"{name}_hw2.ipynb")
    for name in "wrongname.ipynb", "dan_hw2 (1).ipynb", "._eva_hw2.ipynb", "paul_hw2.pdf":
        shutil.copy(released, archive / name)
    with zipfile.ZipFile(archive / "more.zip", "w") as file:
        file.write(released, "late/zoe_hw2.ipynb")
        file.write(released, "late/mine.ipynb")
    done = tools.nbgrader(before_grading, "zip_collect", "hw2")
    assert done.returncode == 0, done.stderr
    shutil.copy(released, archive / "late_hw2.ipynb")
    students = {path.parts[-3] for path in before_grading.glob("submitted/*/hw2/hw2.ipynb")}
    assert students == {"eva", "anna_lee", "bob_lee", "Bruce-Lee.2", "zoe"}
    listing = tools.run(before_grading, "triage.py", "hw2")
    assert listing.returncode == 0, listing.stderr
    listed = dict(re.findall(r"^(\S.*)  not collected(.*)$", listing.stdout, re.M))
    assert {Path(name).name for name in listed} == {
        "wrongname.ipynb", "dan_hw2 (1).ipynb", "._eva_hw2.ipynb", "paul_hw2.pdf", "mine.ipynb",
        "late_hw2.ipynb",
    }  # fmt: skip
    assert listed["late_hw2.ipynb"] == " yet" and "name" in listed["wrongname.ipynb"]
