"""Every notebook in JupyterLab, in a real browser: folds, maths, links, and every slider.

The tests ask the page what there is: a slider, a link or a solution that is added is tried too.
A page runs the cells that its sliders need (docs/needed.py); the others run in the tests of the
notebooks. VI_ALL_CELLS=1 runs them all here too. Notebook 11 trains on the small digits.

VI_SCREENSHOTS=folder keeps pictures. -rP prints how long a slider's move takes.
"""

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import urllib.request
from pathlib import Path

import nbformat
import pytest

pytest.importorskip("selenium", reason='the browser tests need: pip install -e ".[dev]"')
from lab import NOTEBOOK, Page
from waiting import until

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))
import needed  # noqa: E402
import pages  # noqa: E402

NAMES = [path.name for path in pages.NOTEBOOKS]
ALL_CELLS = "VI_ALL_CELLS" in os.environ
# A closed notebook leaves no kernel; cells out of sight are in the page too.
SETTINGS = {"kernelShutdown": True, "windowingMode": "none"}
RAISES = """\
from vi_helpers.widgets import explore

def draw(height, ax):
    if height == 3:
        raise ValueError("too high")
    ax.plot([0, 1], [0, height])

controls = explore(draw, height=(0, 3, 1, 1))
"""


@pytest.fixture(scope="session")
def address(tmp_path_factory, small_digits):
    """JupyterLab on copies of all notebooks, as a reader has them, and one that raises."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "notebooks", folder / "root", ignore=shutil.ignore_patterns("homework"))
    cells = [nbformat.v4.new_markdown_cell("# Raises"), nbformat.v4.new_code_cell(RAISES)]
    cells.append(nbformat.v4.new_markdown_cell("The end."))
    kernel = pages.read(pages.NOTEBOOKS[0]).metadata  # without it JupyterLab asks which
    raises = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
    nbformat.write(raises, folder / "root" / "raises.ipynb")
    settings = folder / "settings" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)
    (settings / "tracker.jupyterlab-settings").write_text(json.dumps(SETTINGS))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = [
        f"--ServerApp.root_dir={folder / 'root'}",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        "--ServerApp.allow_root=True",
        "--ServerApp.open_browser=False",
        "--IdentityProvider.token=",
        "--LabApp.expose_app_in_browser=True",
        "--LanguageServerManager.autodetect=False",  # a search with node, and no use here
        f"--LabApp.user_settings_dir={folder / 'settings'}",
        f"--LabApp.workspaces_dir={folder / 'workspaces'}",
    ]
    environment = {
        **small_digits,
        **(os.environ if ALL_CELLS else {}),
        "PYTHONPATH": str(ROOT),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
    }
    log = folder / "log"
    with log.open("w") as output:
        command = [sys.executable, "-m", "jupyterlab", *options]
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port}"
    no_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def answers():
        assert server.poll() is None, log.read_text()
        try:
            return no_proxy.open(f"{url}/api").read()
        except OSError:
            return None

    until(answers, "JupyterLab")
    yield url
    server.terminate()
    server.wait(120)


@pytest.fixture
def open_page(make_browser, address):
    """open_page(name): the notebook, in a browser of its own."""
    return lambda name: Page(make_browser(), address, name)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_folded_and_typeset_its_sliders_move_and_its_links_lead_on(
    open_page, screenshots, name
):
    page = open_page(name)
    page.browser.save_screenshot(str(screenshots / f"lab-{name[:2]}-opened.png"))
    solutions_open(page)
    assert until(lambda: maths(page), "the maths")["errors"] == []
    times = []
    for i in run_sliders(page):
        times += page.move_all(i)
        page.browser.save_screenshot(str(screenshots / f"lab-{name[:2]}-{i}.png"))
    median, most = statistics.median(times), max(times)
    print(f"{name}: a move takes {median:.0f} ms (median of {len(times)}; {most:.0f} at most)")
    links_lead_on(page)


def run_sliders(page):
    """Run what the sliders need; return the cells that show sliders, when they show them all."""
    notebook = pages.read(ROOT / "notebooks" / page.name)
    cells = range(len(notebook.cells)) if ALL_CELLS else needed.needed_cells(notebook)
    page.run(None if ALL_CELLS else cells)
    assert page.errors(cells) == []
    found = [i for i in cells if pages.has_sliders(notebook.cells[i])]
    for i in found:
        (named,) = [o["text"] for o in page.outputs(i) if (o["text"] or "").startswith("Sliders: ")]
        count = len(named.split(","))
        until(lambda i=i, n=count: len(page.controls(i)) == n, f"{count} controls in cell {i}")
    return found


def test_a_slider_whose_drawing_raises_and_a_link_to_nothing_are_noticed(open_page):
    page = open_page("raises.ipynb")
    nowhere = page.ask("return new URL('/files/nowhere.ipynb', location).href")
    assert silent(page, [nowhere]) == [nowhere]
    page.run([1])
    until(lambda: page.controls(1), "the slider")
    with pytest.raises(AssertionError, match="at 3 shows ValueError: too high"):
        page.move_all(1)


def solutions_open(page):
    """All solutions are folded; one opens."""
    cells, notebook = page.find_cells(), pages.read(ROOT / "notebooks" / page.name)
    tags = [cell.metadata.get("tags", []) for cell in notebook.cells]
    solutions = [i for i, of_cell in enumerate(tags) if "solution" in of_cell]
    assert solutions
    folded = ".jp-Cell-inputArea .jp-Placeholder, .jp-Cell-inputWrapper .jp-Placeholder"
    for i in solutions:
        buttons = until(lambda i=i: cells[i].find_elements("css selector", folded), f"fold {i}")
        assert [b.is_displayed() for b in buttons] == [True], f"the solution in cell {i} lies open"
    cell = cells[solutions[0]]
    page.ask("arguments[0].scrollIntoView({block: 'center'})", cell)
    page.ask("arguments[0].click()", cell.find_element("css selector", folded))
    until(lambda: cell.find_elements("css selector", ".cm-content"), "the solution to open")
    assert "# Solution" in cell.text


def links_lead_on(page):
    """Each link to a notebook has an address that the server answers; one is followed."""
    links = (
        "[...document.querySelectorAll('.jp-RenderedMarkdown a:not([href^=\"#\"])')]"
        ".filter(a => decodeURI(a.href).split(/[?#]/)[0].endsWith('.ipynb'))"
    )
    found = page.ask(f"return [...new Set({links}.map(a => decodeURI(a.href).split(/[?#]/)[0]))]")
    assert silent(page, found) == []
    targets = [href.rsplit("/", 1)[1] for href in found]
    assert targets and set(targets) <= set(NAMES)
    others = [name for name in targets if name != page.name]
    target = min(others, key=lambda name: len(pages.read(ROOT / "notebooks" / name).cells))
    # Only the way there is tried: no second kernel.
    page.ask("window.jupyterapp.serviceManager.sessions.startNew = () => new Promise(() => {});")
    page.ask(f"{links}.find(a => decodeURI(a.href).includes(arguments[0])).click()", target)
    until(lambda: page.path() == target, f"the link to {target}")


def silent(page, addresses):
    """Those of the addresses at which the server has nothing."""
    return page.browser.execute_async_script(
        "const [all, done] = arguments, ask = href => fetch(href, {method: 'HEAD'});"
        "Promise.all(all.map(href => ask(href).then(answer => answer.ok ? null : href)))"
        ".then(answers => done(answers.filter(Boolean)));",
        addresses,
    )


def maths(page):
    """{errors}: faulty formulas; None while dollar signs or commands are left in the text."""
    return page.ask(
        """
        const texts = [...document.querySelectorAll('.jp-Notebook .jp-RenderedMarkdown')];
        const set = document.querySelectorAll('.jp-Notebook mjx-container').length;
        const left = texts.map(text => {
            const copy = text.cloneNode(true);
            copy.querySelectorAll('code, pre, mjx-container').forEach(e => e.remove());
            return copy.textContent;
        }).filter(text => /\\$|\\\\\\(|\\\\\\[|\\\\begin/.test(text));
        const errors = [...document.querySelectorAll('.jp-Notebook mjx-merror')]
            .map(e => e.textContent);
        return set && !left.length ? {errors} : null;
        """
    )


def test_on_a_second_day_the_picture_stays_and_the_hint_says_what_to_do(open_page, screenshots):
    from vi_helpers.widgets import HINT

    name = "00_start_here.ipynb"
    page = open_page(name)
    sliders = run_sliders(page)
    page.do("window.jupyterapp.commands.execute('docmanager:save')", "the notebook to be saved")
    page.do(f"{NOTEBOOK}.sessionContext.shutdown()", "the kernel to end")

    again = open_page(name)
    for i in sliders:
        cell = again.find_cells()[i]
        until(lambda cell=cell: HINT in cell.text, f"the hint of cell {i}")
        assert again.picture(i)
        again.ask("arguments[0].scrollIntoView({block: 'center'})", cell)
        again.browser.save_screenshot(str(screenshots / f"lab-second-day-{i}.png"))
    assert run_sliders(again) == sliders
    assert again.move_all(sliders[0])
