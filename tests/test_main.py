"""python -m vi_helpers: each notebook is copied once, and a copy is never written to again."""

import json
import subprocess
from pathlib import Path

import pytest

from vi_helpers import __main__ as course

ROOT = Path(__file__).parents[1]


@pytest.fixture
def clone(tmp_path):
    """A folder as a clone has it, with two notebooks."""
    pages = tmp_path / "notebooks"
    pages.mkdir()
    for name in ("00_start_here.ipynb", "01_kl_divergence.ipynb"):
        (pages / name).write_bytes((ROOT / "notebooks" / name).read_bytes())
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_every_notebook_is_copied_byte_by_byte_and_nothing_else_is_left(clone):
    made, changed = course.copy_notebooks(clone)
    assert made == ["00_start_here.ipynb", "01_kl_divergence.ipynb"] and changed == []
    for name in made:
        copy, page = clone / course.FOLDER / name, clone / "notebooks" / name
        assert copy.read_bytes() == page.read_bytes()
    assert names(clone / course.FOLDER) == [course.ORIGINS, *made]


def test_a_copy_that_was_worked_in_stays_as_it_is(clone):
    course.copy_notebooks(clone)
    mine = clone / course.FOLDER / "00_start_here.ipynb"
    mine.write_text("my answers")
    assert course.copy_notebooks(clone) == ([], [])
    assert mine.read_text() == "my answers"


def test_after_an_update_the_changed_page_is_named_and_the_copy_stays(clone):
    course.copy_notebooks(clone)
    mine = clone / course.FOLDER / "01_kl_divergence.ipynb"
    mine.write_text("my answers")
    (clone / "notebooks" / mine.name).write_text("a new version")
    (clone / "notebooks" / "02_elbo.ipynb").write_text("a new page")
    made, changed = course.copy_notebooks(clone)
    assert (made, changed) == (["02_elbo.ipynb"], [mine.name])
    assert mine.read_text() == "my answers"
    text = course.report(made, changed)
    assert "another version now of: 01_kl_divergence.ipynb" in text and "rename" in text
    mine.rename(mine.with_name("mine.ipynb"))
    assert course.copy_notebooks(clone) == ([mine.name], [])
    assert mine.read_text() == "a new version"


@pytest.mark.parametrize("calls", [1, 2])
def test_a_killed_run_leaves_no_broken_copy_and_no_false_word_of_a_change(
    clone, monkeypatch, calls
):
    real, count = course.os.replace, []

    def killed(*args):
        count.append(args)
        if len(count) > calls:
            raise KeyboardInterrupt
        real(*args)

    monkeypatch.setattr(course.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        course.copy_notebooks(clone)
    monkeypatch.setattr(course.os, "replace", real)
    made, changed = course.copy_notebooks(clone)
    assert changed == [] and len(made) == 3 - calls
    for page in (clone / "notebooks").iterdir():
        assert (clone / course.FOLDER / page.name).read_bytes() == page.read_bytes()
    assert set(json.loads((clone / course.FOLDER / course.ORIGINS).read_text())) == {
        "00_start_here.ipynb",
        "01_kl_divergence.ipynb",
    }


def test_outside_a_clone_the_error_says_where_the_notebooks_were_looked_for(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no notebooks in .*: run this in a clone"):
        course.copy_notebooks(tmp_path)


def test_git_ignores_the_copies():
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone")
    path = f"{course.FOLDER}/{course.FIRST}"
    ignored = subprocess.run(["git", "check-ignore", "--quiet", path], cwd=ROOT)
    assert ignored.returncode == 0
