"""Ticks and labels kept as pixels: they take half of the time of a picture, and seldom change.

They serve a later figure only if its axes are set as the first one's were, and no figure at all if
they do not give the first one's picture exactly: then it is drawn whole. (One thing is not seen: a
label that set_label_coords moves to a place that depends on the sliders.)
"""

import contextlib

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox


class KeptTicks:
    """The ticks, tick labels and axis labels of a figure, for later figures on its canvas.

    exact : whether the kept pixels give the figure's own picture, so that they may be used
    """

    def __init__(self, figure):
        figure.canvas.figure = figure
        figure.set_layout_engine("none")  # it would give away the room of what is hidden below
        figure.canvas.draw()
        whole = np.array(figure.canvas.buffer_rgba())
        self.canvas, self.settings = figure.canvas, _settings(figure)
        kept = {figure.patch, *figure.axes, *_axes_of(figure)}
        parts = [part for parent in (figure, *figure.axes) for part in parent.get_children()]
        with _hidden(part for part in parts if part not in kept):
            figure.canvas.draw()
        height, width = whole.shape[:2]
        self.pixels = self.canvas.copy_from_bbox(Bbox.from_bounds(0, 0, width, height))
        self.exact = np.array_equal(self._drawn_over(figure), whole)

    def picture(self, figure):
        """The figure's pixels (height, width, 4); None if its ticks may look different."""
        if self.exact and figure.canvas is self.canvas and _settings(figure) == self.settings:
            return self._drawn_over(figure)
        return None

    def _drawn_over(self, figure):
        self.canvas.figure = figure
        renderer = self.canvas.get_renderer()
        renderer.clear()
        self.canvas.restore_region(self.pixels)
        with _hidden([figure.patch, *_axes_of(figure)]):
            figure.draw(renderer)
        return np.array(self.canvas.buffer_rgba())


def _axes_of(figure):
    return [axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)]


@contextlib.contextmanager
def _hidden(artists):
    shown = [artist for artist in artists if artist.get_visible()]
    for artist in shown:
        artist.set_visible(False)
    try:
        yield
    finally:
        for artist in shown:
            artist.set_visible(True)


def _settings(figure):
    """All that the ticks and labels of the figure's Axes are drawn from."""
    whole = [*figure.get_size_inches(), figure.dpi, figure.get_facecolor()]
    return whole + [_settings_of_axes(ax) for ax in figure.axes]


def _settings_of_axes(ax):
    kind = Axes if type(ax) is Axes else ax  # other projections have other axes
    sides = [side for side in ("left", "right", "bottom", "top") if side in ax.spines]
    spines = [ax.spines[side].get_position() for side in sides]  # a spine's ticks go with it
    axes = [_settings_of_axis(axis) for axis in (ax.xaxis, ax.yaxis)]
    return [kind, ax.axison, ax.get_aspect(), spines, *axes]


def _settings_of_axis(axis):
    looks = [_look(tick.label1) + _look(tick.label2) for tick in axis.majorTicks]
    return [
        axis.get_visible(),
        _places(axis, axis.get_view_interval()),
        _ticks(axis, axis.get_majorticklocs(), axis.get_major_formatter()),
        _ticks(axis, axis.get_minorticklocs(), axis.get_minor_formatter()),
        {name: str(value) for name, value in axis.get_tick_params().items()},
        {name: str(value) for name, value in axis.get_tick_params("minor").items()},
        looks[0] if all(look == looks[0] for look in looks) else object(),  # equal to nothing
        axis.labelpad,
        [axis.label.get_text(), *_look(axis.label)],
    ]


def _places(axis, values):
    return axis.get_transform().transform(np.asarray(values, dtype=float)).tolist()


def _ticks(axis, values, formatter):
    return [_places(axis, values), formatter.format_ticks(values), formatter.get_offset()]


def _look(text):
    """How a label is drawn, apart from its words and its place."""
    places = [text.get_ha(), text.get_va(), text.get_rotation()]
    return [text.get_visible(), *places, str(text.get_color()), text.get_fontproperties()]
