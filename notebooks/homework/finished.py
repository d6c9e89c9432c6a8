"""Makes grading and feedback resumable: what a run did not finish, the next run does again.

nbgrader takes a submission for graded as soon as its folder exists, so a run that was killed left
one student with no points and nobody the wiser. Here the autograded notebook carries a mark that is
written last, and a folder without it counts as not there.
"""

import json
import re
from pathlib import Path

from nbgrader.converters import Autograde, GenerateFeedback
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import rmtree
from traitlets import List

NAME = re.compile(r"\w[\w .,+@'()-]*")  # of a student: formgrader's pages are made with it
UNGRADED = "not graded to the end: run nbgrader autograde again"
UNSAFE = "contains the symbolic link {}: remove it from submitted/ and grade again"


class MarkFinished(NbGraderPreprocessor):
    """The last step of autograding."""

    display_data_priority = List().tag(config=True)  # nbconvert sets it and warns where it is not

    def preprocess(self, nb, resources):
        nb.metadata["homework"] = {"finished": True}
        return nb, resources


def is_graded(path):
    """Whether this autograded notebook was written to its end."""
    try:
        metadata = json.loads(Path(path).read_text(encoding="utf-8"))["metadata"]
        return metadata.get("homework") == {"finished": True}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def is_whole_page(path):
    try:
        return Path(path).read_text(encoding="utf-8").rstrip().endswith("</html>")
    except (OSError, ValueError):
        return False


def links_in(folder):
    """Symbolic links at or below folder, or just above it (the student's folder)."""
    folder = Path(folder)
    found = [path for path in (folder.parent, folder) if path.is_symlink()]
    return found or [path for path in folder.rglob("*") if path.is_symlink()]


def resumable(converter, is_done, suffix):
    """Let this converter do again what it once began and did not finish."""
    original = converter.init_destination

    def init_destination(self, assignment_id, student_id):
        source = self._format_source(assignment_id, student_id)
        if not NAME.fullmatch(student_id):
            raise ValueError(f"rename the folder submitted/{student_id}: its name is no safe one")
        if links := links_in(source):
            raise ValueError(UNSAFE.format(links[0].name))
        if suffix == ".html" and not all(map(is_graded, self.notebooks)):
            raise ValueError(UNGRADED)
        folder = Path(self._format_dest(assignment_id, student_id))
        wanted = [folder / f"{Path(name).stem}{suffix}" for name in self.notebooks]
        if folder.exists() and not all(map(is_done, wanted)):
            self.log.warning("%s was begun and not finished: it is done again", folder)
            rmtree(str(folder))
        return original(self, assignment_id, student_id)

    if not getattr(original, "resumable", False):
        init_destination.resumable = True
        converter.init_destination = init_destination


def install():
    """Change nbgrader's two converters; nbgrader_config.py calls this for every command."""
    resumable(Autograde, is_graded, ".ipynb")
    resumable(GenerateFeedback, is_whole_page, ".html")
