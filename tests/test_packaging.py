"""pyproject.toml, requirements.txt and environment.yml say the same; imports stay light."""

import os
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from test_map import MAP, TORCH
from tools import try_bounds

import vi_helpers

ROOT = Path(__file__).parents[1]
TORCH_MODULES = TORCH | {engine for name, engines, _ in MAP if name in TORCH for engine in engines}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINS = [
    line.strip()
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    if line.strip() and not line.startswith("#")
]


def test_every_pin_lies_in_the_range_that_pyproject_allows():
    ranges = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["course"]
    ranges = {r.name: r.specifier for r in map(Requirement, ranges)}
    pins = {r.name: r.specifier for r in map(Requirement, PINS[:-1])}
    assert ranges.keys() == pins.keys()
    for name, specifier in pins.items():
        (pin,) = specifier
        assert pin.operator == "==", f"{name} is not pinned"
        assert ranges[name].contains(pin.version), f"{name} {pin.version} is outside its range"


def test_the_lowest_versions_are_the_bounds_and_kept_ones_the_pins():
    wanted = try_bounds.requirements("lowest", ["torch"], PROJECT, PINS[:-1])
    assert {Requirement(line).name for line in wanted} == {Requirement(p).name for p in PINS[:-1]}
    assert next(p for p in PINS if p.startswith("torch==")) in wanted
    for requirement in map(Requirement, wanted):
        (specifier,) = requirement.specifier
        assert specifier.operator == "=="
    assert try_bounds.at_bound(Requirement("scipy>=1.16,<3"), "lowest") == "scipy==1.16"
    assert try_bounds.at_bound(Requirement("scipy>=1.16"), "newest") == "scipy>=1.16"


def test_requirements_end_with_the_course_itself():
    assert PINS[-1] == "-e ."


def test_environment_file_builds_on_the_requirements():
    lines = (ROOT / "environment.yml").read_text(encoding="utf-8").split("\n")
    entries = [line.strip().removeprefix("- ") for line in lines if line.strip()]
    assert "-r requirements.txt" in entries
    (python,) = [entry for entry in entries if entry.startswith("python=")]
    version = python.removeprefix("python=")
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(version)
    others = [e for e in entries if re.match(r"[a-z0-9-]+[=<>]", e) and e != python]
    assert others == [], "pins belong in requirements.txt"


@pytest.mark.skipif("VI_TEST_BOUNDS" in os.environ, reason="tools/try_bounds.py uses others")
def test_installed_versions_are_the_pinned_ones():
    """Stored outputs are only compared fairly in the pinned environment."""
    from importlib.metadata import version

    wrong = {}
    for requirement in map(Requirement, PINS[:-1]):
        installed = version(requirement.name).split("+")[0]
        if not requirement.specifier.contains(installed):
            wrong[requirement.name] = installed
    assert wrong == {}, "run: python -m pip install -r requirements.txt"


def loaded_after(statement):
    code = f"{statement}; import sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_importing_the_package_loads_neither_torch_nor_matplotlib():
    assert loaded_after("import vi_helpers").isdisjoint({"torch", "matplotlib"})


def modules_without(folders):
    """Every module of the package, engines too, but for those whose first part is given."""
    names = [info.name for info in pkgutil.walk_packages(vi_helpers.__path__, "vi_helpers.")]
    assert len([name for name in names if name.split(".")[-1].startswith("_")]) > 3
    return [name for name in names if name.split(".")[1] not in folders]


def test_only_the_torch_modules_load_torch():
    light = modules_without(TORCH_MODULES)
    assert "torch" not in loaded_after(f"import {', '.join(light)}")
    for name in TORCH:
        assert "torch" in loaded_after(f"import vi_helpers.{name}"), f"{name} needs no torch"


def test_only_the_drawing_modules_load_matplotlib():
    plain = modules_without(TORCH_MODULES | {"plotting", "widgets"})
    assert "matplotlib" not in loaded_after(f"import {', '.join(plain)}")


def test_ruff_finds_nothing_in_code_and_notebooks():
    for command in (["check"], ["format", "--check"]):
        run = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "."], cwd=ROOT, capture_output=True, text=True
        )
        assert run.returncode == 0, run.stdout + run.stderr
