"""A notebook that is open in JupyterLab in a browser: what a reader does with it, and sees."""

import time
import uuid

from selenium.webdriver.common.keys import Keys
from waiting import until

NOTEBOOK = "window.jupyterapp.shell.currentWidget"
CELLS = ".jp-Notebook .jp-Cell"
CONTROLS = ".noUi-handle, .widget-dropdown select"
# The time from a key to the picture that it leads to, as the page itself sees it.
WATCH = """
const cell = document.querySelectorAll('.jp-Notebook .jp-Cell')[arguments[0]];
const source = () => [...cell.querySelectorAll('.jp-OutputArea img')].pop()?.src;
const before = source();
window.watched = {pressed: null, shown: null};
document.addEventListener(
    'keydown', () => { window.watched.pressed = performance.now(); }, {capture: true, once: true});
const observer = new MutationObserver(() => {
    if (source() && source() !== before) {
        window.watched.shown = performance.now();
        observer.disconnect();
    }
});
observer.observe(cell, {subtree: true, childList: true, attributes: true});
"""
# Whether the last image of the cell is another than when this was last asked.
CHANGED = """
const images = document.querySelectorAll(arguments[0])[arguments[1]]
    .querySelectorAll('.jp-OutputArea img');
const now = images[images.length - 1]?.src, changed = now !== window.lastSeen;
window.lastSeen = now;
return changed;
"""


class Page:
    """One notebook, open in JupyterLab; cells are named by their index."""

    def __init__(self, browser, address, name):
        self.browser, self.name = browser, name
        # A workspace of its own: the server's would open what another browser has open, beside it.
        browser.get(f"{address}/lab/workspaces/{uuid.uuid4().hex}/tree/{name}")
        ready = f"const page = window.jupyterapp && {NOTEBOOK}; return !!page?.context?.isReady"
        until(lambda: self.ask(ready), f"{name} to open")
        cells = f"return {NOTEBOOK}.content.widgets.length > 2 && {NOTEBOOK}.content.widgets.length"
        count = until(lambda: self.ask(cells), "cells")
        shown = "return document.querySelectorAll(arguments[0]).length"
        until(lambda: self.ask(shown, CELLS) == count, f"all {count} cells")
        self.find_cells = lambda: browser.find_elements("css selector", CELLS)

    def ask(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def do(self, promise, what, seconds=180):
        """Start what gives a promise; wait until it is kept."""
        self.ask(
            f"window.done = null; ({promise})"
            ".then(() => { window.done = 'kept'; }, error => { window.done = String(error); });"
        )
        answer = until(lambda: self.ask("return window.done"), what, seconds)
        assert answer == "kept", f"{what}: {answer}"

    def path(self):
        """The notebook that is in front now."""
        return self.ask(f"return {NOTEBOOK}?.context?.path")

    def run(self, cells=None, seconds=900):
        """Run these cells, or all, in their order; wait until they are done."""
        self.do(f"{NOTEBOOK}.sessionContext.ready", "the kernel")
        connected = f"return {NOTEBOOK}.sessionContext.session?.kernel?.connectionStatus"
        until(lambda: self.ask(connected) == "connected", "the kernel")
        command = "notebook:run-all-cells"
        if cells is not None:
            command = "notebook:run-cell"
            self.ask(
                f"const content = {NOTEBOOK}.content, chosen = new Set(arguments[0]);"
                "content.deselectAll(); content.activeCellIndex = arguments[0][0];"
                "content.widgets.forEach((c, i) => { if (chosen.has(i)) content.select(c); });",
                cells,
            )
        self.do(f"window.jupyterapp.commands.execute('{command}')", "the cells to run", seconds)

    def outputs(self, cell):
        """[{kind, text, picture}] of a cell, as the document holds them now."""
        return self.ask(
            f"const cell = {NOTEBOOK}.content.widgets[arguments[0]];"
            "return (cell.model.sharedModel.toJSON().outputs || []).map(output => ({"
            "kind: output.output_type, error: `${output.ename}: ${output.evalue}`,"
            "text: (output.data || {})['text/plain'], picture: !!(output.data || {})['image/png']"
            "}))",
            cell,
        )

    def errors(self, cells):
        return [(i, o["error"]) for i in cells for o in self.outputs(i) if o["kind"] == "error"]

    def controls(self, cell):
        """The handles of the sliders, and the menus, that a cell shows."""
        return self.find_cells()[cell].find_elements("css selector", CONTROLS)

    def picture(self, cell):
        """The source of the last image that the cell shows."""
        return self.ask(
            "const images = document.querySelectorAll(arguments[0])[arguments[1]]"
            ".querySelectorAll('.jp-OutputArea img'); return images[images.length - 1]?.src",
            CELLS,
            cell,
        )

    def move(self, cell, control, key):
        """Press the key on a slider or a menu: milliseconds until another picture shows.

        None if the control stands at that end already; AssertionError if no other picture comes,
        or if it is that of an error.
        """
        before = place(control)
        self.ask(WATCH, cell)
        control.send_keys(key)
        if place(control) == before:
            return None
        until(
            lambda: self.ask("return window.watched.shown"),
            f"another picture of cell {cell} at {place(control)} than at {before}",
        )
        self.settle(cell)
        text = [o["text"] for o in self.outputs(cell) if o["picture"]][-1]
        assert text.startswith("<Figure"), f"cell {cell} at {place(control)} shows {text}"
        return self.ask("return window.watched.shown - window.watched.pressed")

    def settle(self, cell):
        """Wait until the picture has stopped changing."""
        since = time.monotonic()
        while time.monotonic() - since < 0.2:
            if self.ask(CHANGED, CELLS, cell):
                since = time.monotonic()
            time.sleep(0.05)

    def move_all(self, cell):
        """Each slider of the cell to its low end, its high end and the middle: milliseconds."""
        times = []
        for control in self.controls(cell):
            self.ask("arguments[0].scrollIntoView({block: 'center'})", control)
            moves = [self.move(cell, control, key) for key in (Keys.HOME, Keys.END)]
            moves.append(self.to_the_middle(cell, control))
            moved = [time for time in moves if time is not None]
            assert len(moved) >= 2, f"cell {cell}: a slider that the keyboard does not move"
            times += moved
        return times

    def to_the_middle(self, cell, control):
        """From the high end, one step and then on to the middle; milliseconds of the first."""
        if control.tag_name == "select":
            return self.move(cell, control, Keys.UP)
        first = self.move(cell, control, Keys.LEFT)
        low, high = (float(control.get_attribute(f"aria-value{end}")) for end in ("min", "max"))
        for _ in range(200):
            if float(control.get_attribute("aria-valuenow")) <= (low + high) / 2:
                break
            control.send_keys(Keys.PAGE_DOWN)
        self.settle(cell)
        return first


def place(control):
    """Where a slider or a menu stands, in the words that the reader gets."""
    if control.tag_name == "select":
        return control.get_attribute("value")
    return control.get_attribute("aria-valuetext")
