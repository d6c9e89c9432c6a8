"""The environment check tells a good environment from a bad one."""

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
    for part in ("scipy is missing", "numpy is 0.1, wanted >=2", "torch does not work: DLL", "pip"):
        assert part in text


def test_a_torch_that_fails_to_import_is_reported_not_raised(monkeypatch):
    monkeypatch.setitem(environment.sys.modules, "torch", None)
    assert environment.check_torch().startswith("torch does not work")
