"""Grade an assignment on several cores or a cluster: python grade.py hw1 --workers 4

Submissions are run by the workers of dask.distributed; then `nbgrader autograde` enters them in the
gradebook, one after another, just as it would have without this command. Stopped halfway, the
same command goes on where it was. With --scheduler ADDRESS the workers of that cluster run them;
they must see this folder under the same path and have the same Python packages.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path.cwd() if (Path.cwd() / "nbgrader_config.py").exists() else Path(__file__).parent


def waiting(assignment, students=()):
    """The students whose submission is not yet graded to the end."""
    from finished import is_graded, links_in

    found = []
    for path in sorted(HERE.glob(f"submitted/*/{assignment}/{assignment}.ipynb")):
        student = path.parts[-3]
        done = is_graded(HERE / "autograded" / student / assignment / path.name)
        if not done and not links_in(path.parent) and (not students or student in students):
            found.append(student)
    return found


def run_one(home, assignment, student, options, runs):
    """Run one submission as autograde would and keep the run; a worker's task."""
    os.environ["HOMEWORK_RUNS"] = runs
    sys.path[:0] = [] if home in sys.path else [home]
    from nbconvert.exporters import NotebookExporter
    from nbgrader.apps import NbGrader
    from traitlets.config import Config

    app = NbGrader.instance() if NbGrader.initialized() else NbGrader()
    app.load_cwd_config, app.config_dir = False, home
    app.load_config_file()
    config = Config(app.config)
    config.CarefulExecute.update({k: v for k, v in options.items() if v is not None})
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


def run_all(arguments, students, runs):
    """Run the submissions on the cluster; each failure is left to autograde, which reports it."""
    from dask.distributed import Client, LocalCluster, as_completed
    from tqdm import tqdm

    options = {"timeout": arguments.timeout}
    local = None
    if not arguments.scheduler:
        local = LocalCluster(
            n_workers=arguments.workers, threads_per_worker=1, dashboard_address=None
        )
    with Client(arguments.scheduler or local) as client:
        tasks = [
            client.submit(
                run_one, str(HERE), arguments.assignment, student, options, str(runs), pure=False,
                retries=2,
            )
            for student in students
        ]  # fmt: skip
        failed = 0
        for task in tqdm(as_completed(tasks), total=len(tasks), unit="submission"):
            failed += task.status != "finished"
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
    runs = HERE / "runs" / arguments.assignment
    students = waiting(arguments.assignment, arguments.student)
    if students:
        failed = run_all(arguments, students, runs)
        print(f"{len(students) - failed} of {len(students)} run; now into the gradebook")
    command = [sys.executable, "-m", "nbgrader", "autograde", arguments.assignment]
    command += [f"--CarefulExecute.timeout={arguments.timeout}"] if arguments.timeout else []
    code = 0
    for student in arguments.student or ["*"]:
        environment = {**os.environ, "HOMEWORK_RUNS": str(runs)}
        done = subprocess.run([*command, f"--student={student}"], cwd=HERE, env=environment)
        code = code or done.returncode
    shutil.rmtree(runs, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
