"""Grade an assignment on several cores or a cluster: python grade.py hw1 --workers 4

Submissions are run by the workers of dask.distributed; meanwhile this process enters those that
are done in the gradebook, one after another, just as `nbgrader autograde` would have. What is left
then, because it cannot be graded, goes to `nbgrader autograde`, which says why. Stopped halfway,
the same command goes on where it was. With --scheduler ADDRESS the workers of that cluster run the
submissions; they must see this folder under the same path and have the same Python packages.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path.cwd() if (Path.cwd() / "nbgrader_config.py").exists() else Path(__file__).parent
NBGRADER = "import fast_start, nbgrader.apps.nbgraderapp as app; app.main()"


def configured(home):
    """nbgrader with the settings of this folder; workers and gradebook use the same."""
    sys.path[:0] = [] if home in sys.path else [home]
    import fast_start  # noqa: F401 - before nbgrader
    from nbgrader.apps import NbGrader

    app = NbGrader()
    app.load_cwd_config, app.config_dir = False, home
    app.load_config_file()
    return app


def ungraded(assignment, students=()):
    """The students whose submission is not yet graded to the end."""
    from finished import is_graded

    found = {path.parts[-2] for path in HERE.glob(f"submitted/*/{assignment}")}
    wanted = sorted(found & set(students) if students else found)
    graded = "autograded/{}/{}/{}.ipynb".format
    return [s for s in wanted if not is_graded(HERE / graded(s, assignment, assignment))]


def can_be_run(assignment, student):
    """Whether there is a notebook, and no link that could lead elsewhere."""
    from finished import links_in

    folder = HERE / "submitted" / student / assignment
    return (folder / f"{assignment}.ipynb").exists() and not links_in(folder)


def run_one(home, assignment, student, options, runs):
    """Run one submission as autograde would and keep the run; a worker's task."""
    os.environ["HOMEWORK_RUNS"] = runs
    app = configured(home)
    from nbconvert.exporters import NotebookExporter
    from traitlets.config import Config

    config = Config(app.config)
    config.CarefulExecute.update(options)
    config.Exporter.default_preprocessors = []
    submitted = Path(home, "submitted", student, assignment)
    info = {"student": student, "assignment": assignment, "notebook": assignment}
    info["db_url"] = f"sqlite:///{Path(home, 'gradebook.db')}"
    resources = {"unique_key": assignment, "nbgrader": info}
    with tempfile.TemporaryDirectory() as folder:
        for source in (submitted, Path(home, "source", assignment)):
            for path in source.iterdir() if source.is_dir() else ():
                if path.is_file() and path.suffix != ".ipynb":
                    shutil.copy(path, folder)
        exporter = NotebookExporter(config=config)
        for step in config.Autograde.sanitize_preprocessors:
            exporter.register_preprocessor(step)
        text, _ = exporter.from_filename(str(submitted / f"{assignment}.ipynb"), dict(resources))
        again = Path(folder, f"{assignment}.ipynb")
        again.write_text(text, encoding="utf-8")
        exporter = NotebookExporter(config=config)
        exporter.register_preprocessor(config.Autograde.autograde_preprocessors[0])
        exporter.from_filename(str(again), dict(resources))
    return student


def gradebook(options):
    """A function that enters the kept run of one student in the gradebook."""
    app = configured(str(HERE))
    from nbgrader.apps import NbGraderAPI
    from traitlets.config import Config

    config = Config(app.config)
    config.CarefulExecute.update(options)
    api = NbGraderAPI(config=config)
    return lambda assignment, student: api.autograde(assignment, student, force=False)


def run_all(arguments, students, options, runs):
    """Run the submissions on the cluster and enter each; yields those that could not be run."""
    from dask.distributed import Client, LocalCluster, as_completed
    from tqdm import tqdm

    local = None
    if not arguments.scheduler:
        local = LocalCluster(
            n_workers=arguments.workers, threads_per_worker=1, dashboard_address=None
        )
    enter, failed = gradebook(options), []
    with Client(arguments.scheduler or local) as client:
        tasks = {
            client.submit(
                run_one, str(HERE), arguments.assignment, student, options, runs, pure=False,
                retries=2,
            ): student
            for student in students
        }  # fmt: skip
        for task in tqdm(as_completed(tasks), total=len(tasks), unit="submission"):
            if task.status == "finished":
                enter(arguments.assignment, tasks[task])
            else:
                failed.append(tasks[task])
                tqdm.write(f"{tasks[task]} was not run by a worker: {task.exception()!r:.300}")
    if local:
        local.close()
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("assignment")
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 1))
    parser.add_argument("--scheduler", help="address of a dask scheduler; default: this computer")
    parser.add_argument("--student", action="append", default=[], help="only these")
    parser.add_argument("--timeout", type=int, help="seconds for a cell or a check")
    arguments = parser.parse_args()
    sys.path.insert(0, str(HERE))
    runs = str(HERE / "runs" / arguments.assignment)
    os.environ["HOMEWORK_RUNS"] = runs
    options = {"timeout": arguments.timeout} if arguments.timeout else {}
    students = ungraded(arguments.assignment, arguments.student)
    students = [student for student in students if can_be_run(arguments.assignment, student)]
    if students:
        failed = run_all(arguments, students, options, runs)
        print(f"{len(students) - len(failed)} of {len(students)} run and entered in the gradebook")
    code = 0
    if left := ungraded(arguments.assignment, arguments.student):
        command = [sys.executable, "-c", NBGRADER, "autograde", arguments.assignment]
        command += [f"--CarefulExecute.timeout={arguments.timeout}"] if arguments.timeout else []
        for student in left if arguments.student else ["*"]:
            done = subprocess.run([*command, f"--student={student}"], cwd=HERE, check=False)
            code = code or done.returncode
    shutil.rmtree(runs, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
