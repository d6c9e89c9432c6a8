"""Draw a notebook's sliders in advance, at a grid of their places.

record runs the cells of the notebook up to its last `explore`, with `explore` replaced by a
recorder that calls the same draw at every place of the grid. The folder then holds one WebP picture
a place and sliders.json; sliders.py makes from it what the page shows and _static/sliders.js moves.
A draft runs only the cells that the sliders need, and draws each slider's ends and start.
"""

import io
import itertools
import json
import os
import sys
import time
from pathlib import Path

import matplotlib
import needed
import numpy as np
import pages
from IPython.core.interactiveshell import InteractiveShell
from PIL import Image

from vi_helpers import widgets

MOST = 120  # pictures of one group of sliders; beyond, the grid is coarser than the sliders
SECONDS = 60  # of processor time for one group: dear pictures are drawn at fewer places
DPI = 110
COLOURS = 96


# --- which places -------------------------------------------------------------------------------


def all_values(control):
    """Every value of an ipywidgets control, with the words that the reader sees."""
    if hasattr(control, "options"):
        labels = [str(label) for label in control._options_labels]
        return list(zip(control._options_values, labels, strict=True))
    count = round((control.max - control.min) / control.step)
    values = [control.min + control.step * i for i in range(count + 1)]
    if isinstance(control.min, int) and isinstance(control.step, int):
        return [(value, str(value)) for value in values]
    values = [round(value, 10) for value in values]
    return [(value, f"{value:g}") for value in values]


def thin(count, start, wanted, also=None):
    """At most `wanted` of range(count): even steps from the start, and both ends.

    also : one more that is kept, if there is room for it. The ends and the start always are.
    """
    needed = {0, count - 1, start}
    if also is not None and len(needed | {also}) <= wanted:
        needed |= {also}
    for step in range(1, count):
        kept = {*range(start % step, count, step)} | needed
        if len(kept) <= wanted:
            return sorted(kept)
    return sorted(needed)


def sizes(counts, most=MOST):
    """How many places each slider gets, so that their combinations are at most `most`."""
    wanted = list(counts)
    while np.prod(wanted) > most:
        longest = int(np.argmax(wanted))
        wanted[longest] -= 1
    return wanted


def grid(controls, most=MOST):
    """name -> (values, labels, index of the start, whether places are left out)."""
    values = {name: all_values(control) for name, control in controls.items()}
    starts = {}
    for name, control in controls.items():
        distance = [
            value != control.value if hasattr(control, "options") else abs(value - control.value)
            for value, _ in values[name]
        ]
        starts[name] = int(np.argmin(distance))
    wanted = sizes([len(v) for v in values.values()], most)
    axes = {}
    for (name, pairs), number in zip(values.items(), wanted, strict=True):
        zero = next((i for i, (value, _) in enumerate(pairs) if value == 0), None)
        kept = thin(len(pairs), starts[name], number, also=zero)  # where a text likes to look
        chosen, labels = zip(*(pairs[i] for i in kept), strict=True)
        axes[name] = (chosen, labels, kept.index(starts[name]), len(kept) < len(pairs))
    return axes


# --- recording ----------------------------------------------------------------------------------


class Recorder:
    """Stands in for vi_helpers.widgets.explore; keeps the pictures of every group of sliders.

    most : pictures of a group, as far as the time allows; the ends and the start are always drawn
    """

    def __init__(self, folder, most=MOST):
        self.folder, self.most = Path(folder), most
        self.cell = None
        self.groups = []

    def __call__(self, draw, *, figsize=(6, 3.5), ncols=1, **sliders):
        controls = {name: widgets._control(name, spec) for name, spec in sliders.items()}
        at_start = {name: control.value for name, control in controls.items()}
        start = widgets.picture(draw, at_start, figsize=figsize, ncols=ncols)
        began = time.process_time()
        store(
            widgets.picture(draw, at_start, figsize=figsize, ncols=ncols, like=start), io.BytesIO()
        )
        affordable = int(SECONDS / (time.process_time() - began))
        axes = grid(controls, min(self.most, max(affordable, 1)))
        prefix = f"{self.cell}-{sum(g['cell'] == self.cell for g in self.groups)}"
        for place in itertools.product(*(range(len(axis[0])) for axis in axes.values())):
            values = {name: axis[0][i] for (name, axis), i in zip(axes.items(), place, strict=True)}
            file = self.folder / f"{prefix}-{'-'.join(map(str, place))}.webp"
            try:
                figure = widgets.picture(draw, values, figsize=figsize, ncols=ncols, like=start)
            except Exception as error:
                raise RuntimeError(f"{draw.__name__} failed at {values}") from error
            size = store(figure, file)
        names = {name: c.description or name for name, c in controls.items()}
        self.groups.append(
            {
                "cell": self.cell,
                "prefix": prefix,
                "size": size,
                "sliders": [
                    {"name": names[n], "labels": list(labels), "start": start, "thinned": thinned}
                    for n, (_, labels, start, thinned) in axes.items()
                ],
                "seconds": round(time.process_time() - began, 1),
            }
        )
        return controls


def store(figure, file):
    """The figure as a small lossless WebP; return (width, height)."""
    figure.set_dpi(DPI)
    figure.canvas.figure = figure  # which the pictures of a group share
    figure.canvas.draw()
    image = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB")
    image.quantize(COLOURS, dither=Image.Dither.NONE).convert("RGB").save(
        file, "WEBP", lossless=True, quality=60, method=2
    )
    return image.size


def record(path, folder, draft=False):
    """Run the notebook's cells up to its last slider in this process; fill the folder.

    Names and settings stay: for a process that does nothing else (sliders.draw_in_advance).
    """
    matplotlib.use("agg")
    notebook = pages.read(path)
    last = pages.explore_cells(notebook)[-1].id
    cells = notebook.cells
    if draft:
        cells = [notebook.cells[i] for i in needed.needed_cells(notebook)]
    recorder = widgets.explore = Recorder(folder, 1 if draft else MOST)
    shell = InteractiveShell.instance()
    shell.enable_matplotlib = lambda gui=None: (None, "agg")  # %matplotlib inline
    os.chdir(Path(path).parent)
    for cell in cells:
        if cell.cell_type != "code" or "solution" in cell.metadata.get("tags", []):
            continue
        recorder.cell = cell.id
        result = shell.run_cell(cell.source, store_history=False)
        if "raises-exception" not in cell.metadata.get("tags", []):
            result.raise_error()
        if cell.id == last:
            break
    package = Path(widgets.__file__).parent
    sources = [Path(m.__file__) for n, m in sys.modules.items() if n.startswith("vi_helpers")]
    made_with = sorted(str(file.relative_to(package)) for file in sources)
    manifest = {"groups": recorder.groups, "made_with": made_with}
    manifest = json.dumps(manifest, ensure_ascii=False, indent=1)
    (recorder.folder / "sliders.json").write_text(manifest, encoding="utf-8")
