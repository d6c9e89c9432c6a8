"""Run the suite with the lowest, or the newest, versions that pyproject.toml allows.

    python tests/tools/try_bounds.py lowest
    python tests/tools/try_bounds.py newest --keep torch -- tests -k "not homework"

Makes a virtual environment in a temporary folder, installs the course there, and runs pytest in
this checkout with what follows `--`. --keep NAME takes NAME's pin from requirements.txt instead
(torch's other builds have several gigabytes). The exit code is pytest's.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
EXTRAS = ("course", "dev")


def requirements(which, keep, project, pins):
    """What to give pip: every direct dependency at its lower bound, or at any allowed version."""
    lines = [*project["dependencies"]]
    for extra in EXTRAS:
        lines += project["optional-dependencies"][extra]
    pinned = {r.name: str(r) for r in map(Requirement, pins)}
    return [
        pinned[r.name] if r.name in keep else at_bound(r, which) for r in map(Requirement, lines)
    ]


def at_bound(requirement, which):
    """The requirement itself for the newest; its lower bound, exactly, for the lowest."""
    if which == "newest":
        return str(requirement)
    bounds = [s.version for s in requirement.specifier if s.operator == ">="]
    if len(bounds) != 1:
        raise ValueError(f"{requirement} must have one lower bound, got {len(bounds)}")
    return f"{requirement.name}=={bounds[0]}"


def read_pins():
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    return re.findall(r"(?m)^[\w.-]+==.*$", text)


def main(arguments):
    at = arguments.index("--") if "--" in arguments else len(arguments)
    own, pytest_arguments = arguments[:at], arguments[at + 1 :]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("which", choices=("lowest", "newest"))
    parser.add_argument("--keep", action="append", default=[], metavar="NAME")
    options = parser.parse_args(own)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = requirements(options.which, options.keep, project, read_pins())
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / ("Scripts" if os.name == "nt" else "bin") / "python"
        pip = [str(python), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, *wanted], check=True)
        subprocess.run([*pip, "--no-deps", "--editable", str(ROOT)], check=True)
        subprocess.run([str(python), "-m", "pip", "list", "--format=freeze"], check=True)
        # the stored outputs belong to the pins: test_packaging steps aside
        environment = {**os.environ, "VI_TEST_BOUNDS": options.which}
        command = [str(python), "-m", "pytest", *pytest_arguments]
        return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
