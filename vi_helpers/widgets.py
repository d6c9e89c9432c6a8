"""Sliders around a drawing function; the page keeps the picture when there is no kernel."""

import base64
import contextlib
import gc
import io
import textwrap

import ipywidgets
from IPython.display import display
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from vi_helpers import validation
from vi_helpers._kept_ticks import KeptTicks

# An output of its own: on another day an error of JupyterLab stands where the sliders were.
HINT = "Move the sliders. If they do not show, or do not move: Run ▸ Run All Cells."
QUICK = {"compress_level": 1}  # a PNG 2 % larger, made faster


def explore(draw, *, figsize=(6, 3.5), ncols=1, **sliders):
    """Show draw(**values, ax=ax) once at the sliders' start values, and again at each move.

    draw    : function of the slider values and ax; it draws on ax (an array of Axes when
              ncols > 1) and nothing else
    sliders : name=widget, or name=(low, high, step, start)
    The picture is an ordinary output of the cell, so it is stored with the notebook.
    Returns the controls, so that code can move them; end the cell with an assignment.
    A draw that raises at the start values raises here; after a move its error is the picture.
    """
    controls = {name: _control(name, spec) for name, spec in sliders.items()}

    def values():
        return {name: control.value for name, control in controls.items()}

    ticks = None

    def moved(_):
        nonlocal ticks
        with _garbage_waits():
            try:
                now = picture(draw, values(), figsize=figsize, ncols=ncols, like=start)
                shown = _bundle(now, kept=ticks)
            except Exception as error:  # a callback's traceback would be shown nowhere
                text = f"{type(error).__name__}: {error}"
                shown = _bundle(_message(text, figsize), text)
            handle.update(shown, raw=True)
            ticks = ticks or KeptTicks(start)  # a page whose sliders nobody moves needs none

    start = picture(draw, values(), figsize=figsize, ncols=ncols)
    box = ipywidgets.VBox(list(controls.values()))._repr_mimebundle_()
    box["text/plain"] = f"Sliders: {', '.join(controls)}"
    display({"text/plain": HINT}, raw=True)
    display(box, raw=True)
    handle = display(_bundle(start), raw=True, display_id=True)
    for control in controls.values():
        control.observe(moved, names="value")
    return controls


def picture(draw, values, *, figsize=(6, 3.5), ncols=1, like=None):
    """The figure of draw(**values, ax=ax), as explore shows it.

    like : an earlier figure of the same draw. Its places of the Axes are taken over: so the
           picture does not jump, and the layout, dearer than most drawings, is solved once. So is
           its canvas, which remembers how wide each text is.
    """
    validation.function("draw", draw)
    validation.instance("values", values, dict)
    validation.positive("figsize", figsize, shape=(2,))
    ncols = validation.integer("ncols", ncols)
    if like is not None:
        validation.instance("like", like, Figure)
    # Not by pyplot: its backend would show the figure a second time.
    figure = Figure(figsize=figsize, layout=None if like else "constrained")
    figure.set_canvas(like.canvas if like else FigureCanvasAgg(figure))
    draw(**values, ax=figure.subplots(1, ncols))
    if like is None:
        figure.draw_without_rendering()  # solves the layout
    elif len(figure.axes) == len(like.axes):
        for new, old in zip(figure.axes, like.axes, strict=True):
            new.set_position(old.get_position(original=True))
    else:  # the drawing adds Axes at some values only
        return picture(draw, values, figsize=figsize, ncols=ncols)
    return figure


def png(figure):
    """The figure as the bytes of a PNG, in its whole size whatever is drawn."""
    validation.instance("figure", figure, Figure)
    figure.canvas.figure = figure  # which other figures may share
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", pil_kwargs=QUICK)
    return buffer.getvalue()


@contextlib.contextmanager
def _garbage_waits():
    """Put off the collection of garbage until a picture has been sent.

    A figure is thousands of objects in circles: while it is drawn they set off, every few moves, a
    search through all that the notebook holds, longer than a drawing.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _bundle(figure, text=None, kept=None):
    pixels = kept.picture(figure) if kept else None
    if pixels is None:
        data = png(figure)
    else:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG", **QUICK)
        data = buffer.getvalue()
    data = base64.b64encode(data).decode("ascii")
    return {"image/png": data, "text/plain": text or repr(figure)}


def _message(text, figsize):
    """A figure that holds nothing but text."""
    figure = Figure(figsize=figsize)
    figure.text(0.05, 0.5, textwrap.fill(text, 60), color="#B00020", va="center")
    return figure


def _control(name, spec):
    if isinstance(spec, ipywidgets.Widget):
        spec.description = spec.description or name  # without it nobody knows what it sets
        return spec
    if not (isinstance(spec, tuple) and len(spec) == 4):
        raise ValueError(f"{name} must be a widget or (low, high, step, start), got {spec!r}")
    low, high, step, start = spec
    whole = all(isinstance(number, int) for number in spec)
    slider = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
    return slider(
        value=start,
        min=low,
        max=high,
        step=step,
        description=name,
        style={"description_width": "initial"},  # a long name is not cut off
    )
