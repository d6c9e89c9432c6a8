"""Sliders around a drawing function; the page keeps the picture when there is no kernel."""

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
    """
    controls = {name: _control(name, spec) for name, spec in sliders.items()}

    def picture():
        figure, ax = plt.subplots(1, ncols, figsize=figsize, layout="constrained")
        draw(**{name: control.value for name, control in controls.items()}, ax=ax)
        plt.close(figure)  # shown through the handle only, not a second time by the backend
        return figure

    box = ipywidgets.VBox(list(controls.values()))._repr_mimebundle_()
    box["text/plain"] = f"Sliders (run this cell to move them): {', '.join(controls)}"
    display(box, raw=True)
    handle = display(picture(), display_id=True)
    for control in controls.values():
        control.observe(lambda _: handle.update(picture()), names="value")
    return controls


def _control(name, spec):
    if isinstance(spec, ipywidgets.Widget):
        return spec
    if not (isinstance(spec, tuple) and len(spec) == 4):
        raise ValueError(f"{name} must be a widget or (low, high, step, start), got {spec!r}")
    low, high, step, start = spec
    whole = all(isinstance(number, int) for number in spec)
    slider = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
    return slider(
        value=start, min=low, max=high, step=step, description=name, continuous_update=False
    )
