"""The map in vi_helpers/__init__.py is the folder, and imports go one way, up the map."""

import ast
import re
from pathlib import Path

import pytest

import vi_helpers

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "vi_helpers"
DRAWING_AND_PAGES = {"plotting", "widgets", "exercises", "environment"}
LEAVES = {"validation", "results", "quadrature"}
TORCH = {"_seeding", "small_networks", "stochastic_vi", "vae"}
OFF_STAGE = {"validation", "results", "_seeding", "__main__"}  # no page calls these


def entries():
    """[(module, its engines, notebook numbers)] from the map, in its order."""
    found = []
    for line in vi_helpers.__doc__.splitlines():
        head = re.match(r"(\w+)(\.py|/)  .*?  ((?:\d\d(?:, )?)+|all)$", line)
        if head:
            found.append((head[1], [], re.findall(r"\d\d|all", head[3])))
        elif line.startswith("    "):
            found[-1][1].extend(re.findall(r"([\w/]+)\.py", line))
    return found


MAP = entries()
MODULES = {
    path.relative_to(PACKAGE).with_suffix("").as_posix()
    for path in PACKAGE.rglob("*.py")
    if path.name != "__init__.py"
}


def owner(module):
    """The entry of the map that a file or a dotted name belongs to."""
    for name, engines, _ in MAP:
        if module == name or module in engines or module.split("/")[0] == name:
            return name
    raise AssertionError(f"{module} is not in the map")


def path_of(module):
    folder = PACKAGE / module / "__init__.py"
    return folder if folder.exists() else PACKAGE / f"{module}.py"


def imports(path):
    """(what is imported from this package, what from elsewhere), anywhere in the file."""
    ours, others = set(), set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}, line {node.lineno}: a relative import"
            full = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            full = [alias.name for alias in node.names]
        else:
            continue
        for name in full:
            parts = name.split(".")
            if parts[0] != "vi_helpers":
                others.add(parts[0])
                continue
            longest = ["/".join(parts[1:end]) for end in range(len(parts), 1, -1)]
            ours.add(next(part for part in longest if path_of(part).exists()))
    return ours, others


def files_of(name, engines):
    paths = [path_of(module) for module in (name, *engines)]
    return [path for path in paths if path.exists()]  # the first test names those that do not


def test_the_map_names_every_file_and_no_other():
    mapped = [module for name, engines, _ in MAP for module in (name, *engines)]
    assert len(mapped) == len(set(mapped)), "a file stands in the map twice"
    files = MODULES | {"vae"}
    assert not files - set(mapped), f"not in the map: {sorted(files - set(mapped))}"
    assert not set(mapped) - files, f"in the map, but no file: {sorted(set(mapped) - files)}"


@pytest.mark.parametrize("index", range(len(MAP)), ids=[name for name, *_ in MAP])
def test_a_module_imports_only_what_stands_above_it(index):
    name, engines, _ = MAP[index]
    allowed = {above for above, *_ in MAP[: index + 1]}
    if name in DRAWING_AND_PAGES:
        allowed = LEAVES | {name}
    for path in files_of(name, engines):
        ours, others = imports(path)
        wrong = {module for module in ours if owner(module) not in allowed}
        assert not wrong, f"{path.name} imports {sorted(wrong)}, which stand below it in the map"
        if "torch" in others:  # environment asks whether torch works
            assert name in TORCH | {"environment"}, f"{path.name} imports torch"


@pytest.mark.parametrize("index", range(len(MAP)), ids=[name for name, *_ in MAP])
def test_an_engine_serves_its_own_module_only(index):
    name, engines, _ = MAP[index]
    for other, others, _ in MAP:
        for path in files_of(other, others):
            used = {m for m in imports(path)[0] if m.split("/")[-1].startswith("_")}
            if other != name:
                assert used.isdisjoint(engines), f"{path.name} imports the engine of {name}"


@pytest.mark.parametrize("name, numbers", [(name, numbers) for name, _, numbers in MAP])
def test_the_notebook_that_teaches_a_module_mentions_it(name, numbers):
    for number in numbers:
        pages = list((ROOT / "notebooks").glob("[01]*.ipynb" if number == "all" else f"{number}_*"))
        assert pages, f"there is no notebook {number}"
        if name in OFF_STAGE:
            continue
        texts = [path.read_text(encoding="utf-8") for path in pages]
        assert any(re.search(rf"\b{name}\b", text) for text in texts), (
            f"the map says notebook {number} teaches {name}, but no cell there names it"
        )


def test_no_page_and_no_homework_imports_an_engine():
    pages = [*(ROOT / "notebooks").rglob("*.ipynb"), *(ROOT / "notebooks").rglob("*.py")]
    engines = [m.split("/")[-1] for m in MODULES if m.split("/")[-1].startswith("_")]
    engines.remove("__main__")  # a command
    for path in pages:
        text = path.read_text(encoding="utf-8")
        found = [engine for engine in engines if re.search(rf"\b{engine}\b", text)]
        assert not found, f"{path.name} imports {found}"
