"""A private variant: the model solution keeps all points, the published numbers lose theirs."""

import json
import os
import subprocess
import sys

import pytest
from homework import tables

pytest.importorskip("nbgrader")
SEEDS = ("1", "2", "7")
SAME = {"hw4-04c-check", "hw4-06c-check"}  # nothing in these but seeds; the page says so


@pytest.mark.parametrize("name", ["hw1", "hw2", "hw3", "hw4"])
def test_a_variant_has_other_numbers_and_only_answers_that_compute_pass(name):
    seeds = SEEDS if name != "hw4" else SEEDS[:1]  # its model solution trains
    done = subprocess.run(
        [sys.executable, str(tables.TABLES / "try_variants.py"), name, *seeds],
        capture_output=True, text=True, timeout=900, check=False, cwd=tables.COURSE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tables.COURSE), *sys.path])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert list(found) == list(seeds)
    for seed, variant in found.items():
        assert variant["lost"] == {} and variant["same data"] == [], seed
        for check, (points, most) in variant["replayed"].items():
            assert (points < most and check in variant["changed"]) != (check in SAME), (seed, check)
    for other in range(1, len(seeds)):
        assert found[seeds[0]]["replayed"].keys() == found[seeds[other]]["replayed"].keys()


def test_the_command_writes_a_variant_or_says_in_one_line_why_not(tmp_path):
    (tmp_path / "source").symlink_to(tables.SOURCE, target_is_directory=True)
    (tmp_path / "nbgrader_config.py").touch()

    def run(*arguments):
        return subprocess.run(
            [sys.executable, str(tables.COURSE / "make_variant.py"), *arguments], cwd=tmp_path,
            capture_output=True, text=True, timeout=900, check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip

    done = run("hw3", "5")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "variants/hw3/hw3.ipynb").read_text(encoding="utf-8")
    assert text != (tables.SOURCE / "hw3/hw3.ipynb").read_text(encoding="utf-8")
    assert "### BEGIN HIDDEN TESTS" in text and "### BEGIN SOLUTION" in text
    for wrong in (("hw77", "1"), ("hw1", "zero")):
        done = run(*wrong)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
