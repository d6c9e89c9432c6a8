"""Does this computer have what the course needs? Notebook 00 asks, and prints the verdict."""

import platform
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

PACKAGE = "vi-helpers"
MINIMUM_PYTHON = (3, 11)


def check_packages():
    """Compare what is installed with what the course needs.

    Returns a list of (name, found, wanted, ok); ok is False where a package is missing
    or outside its range.
    """
    python = platform.python_version()
    wanted = ".".join(map(str, MINIMUM_PYTHON))
    rows = [("Python", python, f">={wanted}", sys.version_info >= MINIMUM_PYTHON)]
    try:
        lines = metadata.requires(PACKAGE)
    except metadata.PackageNotFoundError:  # imported from a folder, by a Python without it
        return [*rows, (PACKAGE, "missing", "installed", False)]
    for line in lines:
        requirement = Requirement(line)
        if requirement.marker and not requirement.marker.evaluate({"extra": "course"}):
            continue
        try:
            found = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            found = "missing"
        fits = found != "missing" and requirement.specifier.contains(found, prereleases=True)
        rows.append((requirement.name, found, str(requirement.specifier), fits))
    return rows


def check_torch():
    """Return None when torch imports and multiplies, else what went wrong, in one line."""
    try:
        import torch

        works = float((torch.ones(2, 2) @ torch.ones(2, 2)).sum()) == 8.0
    except Exception as error:  # a broken binary raises OSError, ImportError or RuntimeError
        return f"torch does not work: {error}"
    return None if works else "torch multiplies wrongly"


def verdict(rows, *problems):
    """Sum up check_packages' rows and further problems (None is no problem) in one text."""
    if not isinstance(rows, (list, tuple)) or not all(
        isinstance(row, tuple) and len(row) == 4 for row in rows
    ):
        raise ValueError(f"rows must be what check_packages returns, got {rows!r}")
    found = [f"{name} is {have}, wanted {want}" for name, have, want, ok in rows if not ok]
    found += [problem for problem in problems if problem]
    if not found:
        return "Verdict: ready. Every notebook of the course will run here."
    # The Python of this kernel, by its full name: a terminal's `python` may be another one.
    python = f'"{sys.executable}"' if " " in sys.executable else sys.executable
    root = Path(__file__).resolve().parents[1]
    if (root / "requirements.txt").is_file():
        steps = [f'  cd "{root}"', f"  {python} -m pip install -r requirements.txt"]
    else:  # installed as a package: there is no clone to go to
        missing = [f'"{name}{want}"' for name, _, want, ok in rows if not ok and name != "Python"]
        steps = [f"  {python} -m pip install {' '.join(missing)}"] if missing else []
    advice = ["To repair it, type in a terminal, and then restart this notebook's kernel:", *steps]
    return "\n".join(["Verdict: NOT ready.", *(f"- {line}" for line in found), *advice])
