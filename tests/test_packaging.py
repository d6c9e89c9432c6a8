"""pyproject.toml, requirements.txt and environment.yml say the same; imports stay light."""

import os
import pkgutil
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
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
    dev = {Requirement(line).name for line in PROJECT["optional-dependencies"]["dev"]}
    pinned = {Requirement(line).name for line in PINS[:-1]}
    assert {Requirement(line).name for line in wanted} == pinned | dev
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
    plain = modules_without(TORCH_MODULES | {"plotting", "widgets", "_kept_ticks"})
    assert "matplotlib" not in loaded_after(f"import {', '.join(plain)}")


def test_ruff_finds_nothing_in_code_and_notebooks():
    for command in (["check"], ["format", "--check"]):
        run = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "."], cwd=ROOT, capture_output=True, text=True
        )
        assert run.returncode == 0, run.stdout + run.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The sdist's and the wheel's names of files, and the wheel unpacked as pip would."""
    pytest.importorskip("hatchling", reason="the builds need hatchling: the extra dev")
    folder = tmp_path_factory.mktemp("build")
    source = folder / "course"
    shutil.copytree(ROOT / "vi_helpers", source / "vi_helpers")
    shutil.copytree(ROOT / "tests", source / "tests")
    for path in ROOT.glob("[!.]*.*"):
        if path.is_file():
            shutil.copy(path, source)
    shutil.copy(ROOT / "LICENSE", source)
    code = (
        "import hatchling.build as backend\n"
        "print(backend.build_sdist('..'), backend.build_wheel('..'))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=source, capture_output=True, text=True, check=True
    )
    sdist, wheel = run.stdout.split()[-2:]
    with tarfile.open(folder / sdist) as archive:
        in_sdist = [name.partition("/")[2] for name in archive.getnames()]
    with zipfile.ZipFile(folder / wheel) as archive:
        in_wheel = archive.namelist()
        archive.extractall(folder / "site")
    return in_sdist, in_wheel, folder / "site"


def test_sdist_and_wheel_hold_the_whole_package_and_no_test(built):
    modules = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("vi_helpers/**/*.py")}
    for names in built[:2]:
        assert modules <= set(names)
        rest = [n for n in names if n.endswith(".py") and n not in modules]
        assert rest == [], "a test there has neither the notebooks nor the files that it reads"


def run_installed(site, code, tmp_path):
    """What code prints where the wheel is all there is of the course: no clone, no cache."""
    environ = {**os.environ, "PYTHONPATH": str(site), "HOME": str(tmp_path), "XDG_CACHE_HOME": ""}
    environ.pop("VI_DATA_DIR", None)
    command = [sys.executable, "-c", f"import vi_helpers; print(vi_helpers.__file__)\n{code}"]
    run = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert run.stdout.startswith(str(site)), run.stdout + run.stderr
    return run.stdout.partition("\n")[2] + run.stderr


def test_the_advice_of_an_installed_wheel_names_nothing_that_is_not_there(built, tmp_path):
    site = built[2]
    verdict = run_installed(
        site,
        "from vi_helpers import environment\n"
        "print(environment.verdict([('scipy', '1.0', '>=1.16', False)]))",
        tmp_path,
    )
    assert '-m pip install "scipy>=1.16"' in verdict and "requirements.txt" not in verdict
    assert str(site) not in verdict  # nothing there for a reader to change to or to open

    no_data = run_installed(
        site,
        "from vi_helpers import _mnist_files, datasets\n"
        "_mnist_files.MNIST_MIRRORS = ()\n"
        "datasets.load_mnist()",
        tmp_path,
    )
    assert "MNIST is not available" in no_data
    folder = re.search(r"(?m)^into (.+), or into any folder", no_data)[1]
    assert site not in Path(folder).parents and Path(folder).is_relative_to(tmp_path)
