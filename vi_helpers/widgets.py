"""Sliders around a drawing function; the page keeps the picture when there is no kernel."""

import textwrap

import ipywidgets
import matplotlib.pyplot as plt
from IPython.display import display


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

    def picture():
        figure, ax = plt.subplots(1, ncols, figsize=figsize, layout="constrained")
        plt.close(figure)  # shown through the handle only, not a second time by the backend
        draw(**{name: control.value for name, control in controls.items()}, ax=ax)
        return figure

    def moved(_):
        try:
            handle.update(picture())
        except Exception as error:  # a callback's traceback would be shown nowhere
            handle.update(_message(f"{type(error).__name__}: {error}", figsize))

    box = ipywidgets.VBox(list(controls.values()))._repr_mimebundle_()
    box["text/plain"] = f"Sliders (run this cell to move them): {', '.join(controls)}"
    display(box, raw=True)
    handle = display(picture(), display_id=True)
    for control in controls.values():
        control.observe(moved, names="value")
    return controls


def _message(text, figsize):
    """A figure that holds nothing but text."""
    figure = plt.figure(figsize=figsize)
    plt.close(figure)
    figure.text(0.05, 0.5, textwrap.fill(text, 60), color="#B00020", va="center")
    return figure


def _control(name, spec):
    if isinstance(spec, ipywidgets.Widget):
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
        continuous_update=False,
        style={"description_width": "initial"},  # a long name is not cut off
    )
