"""nbgrader's settings for this course; README.md beside it is the instructor's page."""

import os
import sys
import warnings
from pathlib import Path

from nbconvert.preprocessors import ClearMetadataPreprocessor, CSSHTMLHeaderPreprocessor
from nbgrader.preprocessors import (
    AssignLatePenalties,
    CheckCellMetadata,
    ClearOutput,
    GetGrades,
    IgnorePattern,
    LimitOutput,
    OverwriteCells,
    OverwriteKernelspec,
    SaveAutoGrades,
)
from sqlalchemy.exc import SAWarning

HERE = Path(__file__).resolve().parent
# nbgrader calls `alembic` by its bare name, also when the environment is not activated
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
sys.path.insert(0, str(HERE))
import finished  # noqa: E402
from careful_export import CarefulExport  # noqa: E402
from careful_feedback import HideTests  # noqa: E402
from careful_grading import CarefulExecute  # noqa: E402
from grading_box import GradingKernelManager  # noqa: E402
from restore_cells import RestoreCells  # noqa: E402
from safe_display import SafeDisplay  # noqa: E402

warnings.filterwarnings("ignore", category=SAWarning)  # nbgrader's own, harmless

c = get_config()  # noqa: F821
c.CourseDirectory.root = str(HERE)
c.CourseDirectory.course_id = "variational-inference"
# The exchange: a folder that students and instructor of a shared server can all reach.
# c.Exchange.root = "/srv/nbgrader/exchange"

# zip_collect: files named STUDENT_hw1.ipynb; all before the last underscore is the student
c.FileNameCollectorPlugin.named_regexp = (
    r"(?:.*[/\\])?(?P<student_id>\w[\w .,+@'()-]*)_(?P<file_id>hw\d+|project)\.ipynb$"
)

c.ExportApp.plugin_class = CarefulExport

# A run that was stopped is taken up where it was: see finished.py.
finished.install()

# What a submission may use up: seconds a cell and a notebook, characters a cell.
c.CarefulExecute.timeout = 60
c.CarefulExecute.notebook_timeout = 900
c.CarefulExecute.max_output = 200_000
c.CarefulExecute.shutdown_kernel = "immediate"  # nothing is left to say goodbye to
c.LimitOutput.max_lines = 1000

GradingKernelManager.hidden = (HERE, HERE.parents[1], "/usr/local/share/nbgrader")

c.Autograde.sanitize_preprocessors = [
    ClearOutput,
    RestoreCells,
    OverwriteKernelspec,
    OverwriteCells,
    CheckCellMetadata,
]
c.Autograde.autograde_preprocessors = [
    CarefulExecute,
    IgnorePattern,
    ClearMetadataPreprocessor,
    LimitOutput,
    SaveAutoGrades,
    AssignLatePenalties,
    CheckCellMetadata,
    SafeDisplay,
    finished.MarkFinished,
]
c.GenerateFeedback.preprocessors = [GetGrades, SafeDisplay, HideTests, CSSHTMLHeaderPreprocessor]
