"""Every notebook in JupyterLab, in a real browser: all cells, all sliders, solutions, links, maths.

The tests ask the page what there is: a slider, a link or a solution that is added is tried too.
VI_SCREENSHOTS=folder keeps pictures; latencies are printed at the end of the run with -s.
"""

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(path.name for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
# A closed notebook leaves no kernel; cells out of sight are in the page too.
SETTINGS = {"kernelShutdown": True, "windowingMode": "none"}
NOTEBOOK = "window.jupyterapp.shell.currentWidget"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """JupyterLab on copies of all notebooks, as a reader has them."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "notebooks", folder / "root", ignore=shutil.ignore_patterns("homework"))
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
        f"--LabApp.user_settings_dir={folder / 'settings'}",
        f"--LabApp.workspaces_dir={folder / 'workspaces'}",
    ]
    environment = dict(os.environ, PYTHONPATH=str(ROOT), JUPYTER_CONFIG_DIR=str(folder / "config"))
    log = folder / "log"
    with log.open("w") as output:
        command = [sys.executable, "-m", "jupyterlab", *options]
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port}"
    no_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(120):
        try:
            no_proxy.open(f"{url}/api").read()
            break
        except OSError:
            assert server.poll() is None, log.read_text()
            time.sleep(0.5)
    yield url
    server.terminate()
    server.wait(30)


def wait_for(question, seconds, what, every=0.02):
    """The first true answer of question(), asked until then."""
    deadline = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(every)


class Page:
    """One notebook, open in JupyterLab."""

    def __init__(self, browser, address, name):
        self.browser, self.name = browser, name
        browser.get(f"{address}/lab/workspaces/{name[:2]}/tree/{name}?reset")
        ready = (
            f"const w = window.jupyterapp && {NOTEBOOK};"
            "return w && w.context && w.context.isReady && w.content.widgets.length > 2"
            " && w.context.path"
        )
        wait_for(lambda: browser.execute_script(ready) == name, 60, f"{name} to open")
        connected = f"return {NOTEBOOK}.sessionContext.session?.kernel?.connectionStatus"
        wait_for(lambda: self.ask(connected) == "connected", 90, "the kernel")

    def ask(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def path(self):
        """The notebook that is in front now."""
        return self.ask(f"return {NOTEBOOK}?.context?.path")

    def run_all(self, seconds):
        self.ask(
            "window.ranAll = false;"
            "const done = () => { window.ranAll = true; };"
            "window.jupyterapp.commands.execute('notebook:run-all-cells').then(done, done)"
        )
        wait_for(lambda: self.ask("return window.ranAll"), seconds, "all cells to run", every=0.5)

    def outputs(self):
        """[outputs of each cell], as the document holds them now."""
        return self.ask(
            f"return {NOTEBOOK}.content.widgets.map(cell =>"
            "(cell.model.sharedModel.toJSON().outputs || []).map(output => ({"
            "kind: output.output_type, name: output.ename, value: output.evalue,"
            "text: (output.data || {})['text/plain'], picture: !!(output.data || {})['image/png']"
            "})))"
        )

    def sliders(self):
        """[(index of the cell, its handles)] for every cell that shows sliders."""
        cells = self.browser.find_elements("css selector", ".jp-Notebook .jp-Cell")
        found = [
            (i, cell.find_elements("css selector", ".noUi-handle")) for i, cell in enumerate(cells)
        ]
        return [(i, handles) for i, handles in found if handles]

    def picture(self, cell):
        """The source of the last image that the cell shows."""
        return self.ask(
            "const images = document.querySelectorAll('.jp-Notebook .jp-Cell')[arguments[0]]"
            ".querySelectorAll('.jp-OutputArea img'); return images[images.length - 1]?.src",
            cell,
        )


@pytest.fixture(scope="module")
def lab(make_browser, address):
    browser = make_browser()

    def open_page(name):
        return Page(browser, address, name)

    yield open_page
    medians = {name: statistics.median(times) for name, times in LATENCIES.items() if times}
    for name, median in medians.items():
        print(f"\n{name}: a slider's move takes {1000 * median:.0f} ms (median)", end="")


LATENCIES = {}


def move(page, cell, handle, key):
    """Press the key on the slider's handle; seconds until another picture shows, or None."""
    value = handle.get_attribute("aria-valuetext")
    before = page.picture(cell)
    started = time.perf_counter()
    handle.send_keys(key)
    if handle.get_attribute("aria-valuetext") == value:
        return None  # it stands at this end
    wait_for(lambda: page.picture(cell) != before, 60, f"a picture of cell {cell} at another value")
    return time.perf_counter() - started


def settle(page, cell):
    """Wait until the picture has stopped changing."""
    last, since = page.picture(cell), time.monotonic()
    while time.monotonic() - since < 0.3:
        time.sleep(0.05)
        now = page.picture(cell)
        if now != last:
            last, since = now, time.monotonic()


@pytest.mark.parametrize("name", PAGES)
def test_all_cells_run_and_every_slider_moves_its_picture(lab, screenshots, name):
    from selenium.webdriver.common.keys import Keys

    page = lab(name)
    page.run_all(900)
    errors = [
        (i, o["name"], o["value"])
        for i, outputs in enumerate(page.outputs())
        for o in outputs
        if o["kind"] == "error"
    ]
    assert not errors
    LATENCIES[name] = []
    wanted = {
        i: len(o["text"].split(","))
        for i, outputs in enumerate(page.outputs())
        for o in outputs
        if (o["text"] or "").startswith("Sliders: ")
    }
    wait_for(lambda: {i: len(h) for i, h in page.sliders()} == wanted, 30, f"sliders {wanted}")
    for cell, handles in page.sliders():
        for handle in handles:
            page.ask("arguments[0].scrollIntoView({block: 'center'})", handle)
            handle.send_keys("")
            keys = (Keys.HOME, Keys.END, Keys.LEFT)
            times = []
            for key in keys:
                times.append(move(page, cell, handle, key))
                settle(page, cell)
            moved = [t for t in times if t is not None]
            assert len(moved) >= 2, f"cell {cell}: a slider that keyboard does not move"
            LATENCIES[name] += moved
            low, high = (float(handle.get_attribute(f"aria-value{end}")) for end in ("min", "max"))
            for _ in range(200):
                if float(handle.get_attribute("aria-valuenow")) <= (low + high) / 2:
                    break
                handle.send_keys(Keys.PAGE_DOWN)
            settle(page, cell)
        texts = [o["text"] for o in page.outputs()[cell] if o["picture"]]
        assert texts and texts[-1].startswith("<Figure"), f"cell {cell} shows {texts[-1]}"
        page.browser.save_screenshot(str(screenshots / f"lab-{name[:2]}-{cell}.png"))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_with_its_answers_folded_its_maths_set_and_its_links_alive(
    lab, screenshots, name
):
    page = lab(name)
    time.sleep(0.5)
    page.browser.save_screenshot(str(screenshots / f"lab-{name[:2]}-opened.png"))
    notebook = nbformat.read(ROOT / "notebooks" / name, as_version=4)
    in_page = ".jp-Notebook .jp-Cell"
    wait_for(
        lambda: len(page.browser.find_elements("css selector", in_page)) == len(notebook.cells),
        30,
        "all cells",
    )
    cells = page.browser.find_elements("css selector", in_page)
    solutions = [
        i for i, c in enumerate(notebook.cells) if "solution" in c.metadata.get("tags", [])
    ]
    folded = ".jp-Cell-inputArea .jp-Placeholder, .jp-Cell-inputWrapper .jp-Placeholder"
    for i in solutions:
        (button,) = cells[i].find_elements("css selector", folded)
        assert button.is_displayed(), f"the solution in cell {i} lies open"
    if solutions:
        cell = cells[solutions[0]]
        page.ask("arguments[0].scrollIntoView({block: 'center'})", cell)
        page.ask("arguments[0].click()", cell.find_element("css selector", folded))
        opened = ".cm-content"
        wait_for(lambda: cell.find_elements("css selector", opened), 10, "the solution to open")
        assert "# Solution" in cell.text

    unset = wait_for(lambda: maths(page), 30, "the maths")
    assert not unset["errors"] and not unset["left"]

    for target in sorted(links(page) - {name}):
        page.ask(
            "const links = document.querySelectorAll('.jp-Notebook .jp-RenderedMarkdown a');"
            "[...links].find(a => a.textContent && decodeURI(a.href).split('#')[0]"
            ".endsWith(arguments[0])).click()",
            target,
        )
        wait_for(lambda target=target: page.path() == target, 30, f"the link to {target}")
        page.ask(f"{NOTEBOOK}.close()")
        wait_for(lambda: page.path() == name, 30, f"{name} again")


def links(page):
    """The notebooks beside this one that its text links to."""
    hrefs = page.ask(
        "return [...document.querySelectorAll('.jp-Notebook .jp-RenderedMarkdown a')]"
        ".map(a => decodeURI(a.href).split('#')[0])"
    )
    return {href.rsplit("/", 1)[-1] for href in hrefs if href.endswith(".ipynb")}


def maths(page):
    """{errors, left}: faulty formulas, and dollar signs left in text; None before it is set."""
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
        return set && !left.length ? {errors, left} : null;
        """
    )
