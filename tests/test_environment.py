"""The environment check tells a good environment from a bad one."""

import re
import sys
from pathlib import Path

from vi_helpers import environment


def test_the_environment_that_runs_the_tests_is_ready():
    rows = environment.check_packages()
    assert {"Python", "torch", "jupyterlab", "nbval"} <= {name for name, *_ in rows}
    assert environment.verdict(rows, environment.check_torch()).startswith("Verdict: ready")


def test_students_are_not_asked_for_the_instructors_packages():
    assert "nbgrader" not in {name for name, *_ in environment.check_packages()}


def test_a_missing_package_an_old_one_and_a_broken_torch_are_each_named(monkeypatch):
    real = environment.metadata.version

    def version(name):
        if name == "scipy":
            raise environment.metadata.PackageNotFoundError(name)
        return "0.1" if name == "numpy" else real(name)

    monkeypatch.setattr(environment.metadata, "version", version)
    text = environment.verdict(environment.check_packages(), "torch does not work: DLL")
    assert text.startswith("Verdict: NOT ready")
    for part in ("scipy is missing", "numpy is 0.1, wanted >=2", "torch does not work: DLL"):
        assert part in text


def test_the_advice_repairs_the_python_that_runs_from_the_folder_that_holds_the_file():
    text = environment.verdict([("scipy", "missing", ">=1", False)])
    folder = Path(re.search(r'cd "(.+)"', text)[1])
    assert (folder / "requirements.txt").is_file()
    assert sys.executable in text and "-m pip install -r requirements.txt" in text


def test_without_a_clone_the_advice_names_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "vi_helpers" / "environment.py"))
    text = environment.verdict([("scipy", "1.0", ">=1.16", False), ("numpy", "2.2", ">=2", True)])
    assert '-m pip install "scipy>=1.16"' in text and "requirements.txt" not in text
    assert "numpy" not in text


def test_the_package_itself_may_be_missing(monkeypatch):
    def requires(name):
        raise environment.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(environment.metadata, "requires", requires)
    text = environment.verdict(environment.check_packages())
    assert text.startswith("Verdict: NOT ready") and "vi-helpers is missing" in text


def test_a_torch_that_fails_to_import_is_reported_not_raised(monkeypatch):
    monkeypatch.setitem(environment.sys.modules, "torch", None)
    assert environment.check_torch().startswith("torch does not work")
