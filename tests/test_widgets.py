"""Sliders draw once without being touched, again at each move, and never leave figures open."""

import base64
import gc
import io

import ipywidgets
import matplotlib
import numpy as np
import pytest

matplotlib.use("agg")

import matplotlib.image
import matplotlib.pyplot as plt

from vi_helpers import widgets
from vi_helpers._kept_ticks import KeptTicks


class Handle:
    def __init__(self):
        self.pictures, self.texts = [], []

    def update(self, figure, *, raw):
        assert raw
        self.pictures.append(figure)


@pytest.fixture
def shown(monkeypatch):
    """What a page would show: the figures, and the texts beside them."""
    handle = Handle()

    def display(thing, *, raw, display_id=None):
        if display_id:
            handle.update(thing, raw=raw)
            return handle
        assert raw
        handle.texts.append(thing["text/plain"])
        return None

    monkeypatch.setattr(widgets, "display", display)
    monkeypatch.setattr(widgets, "_bundle", lambda figure, text=None, kept=None: figure)
    return handle


def draw_line(slope, power, ax):
    ax.plot([0, 1], [0, slope**power])


def test_the_picture_is_drawn_once_before_any_move(shown):
    widgets.explore(draw_line, slope=(0.0, 2.0, 0.5, 1.0), power=(1, 3, 1, 2))
    assert len(shown.pictures) == 1
    assert shown.pictures[0].axes[0].lines[0].get_ydata()[1] == 1.0


def test_every_move_draws_again_with_the_new_value(shown):
    controls = widgets.explore(draw_line, slope=(0.0, 2.0, 0.5, 1.0), power=(1, 3, 1, 2))
    controls["slope"].value = 2.0
    controls["power"].value = 3
    heights = [f.axes[0].lines[0].get_ydata()[1] for f in shown.pictures]
    assert heights == [1.0, 4.0, 8.0]


def draw_reciprocal(x, ax):
    ax.plot([0, 1], [0, 1 // x])


def test_a_move_that_cannot_be_drawn_shows_its_error_as_the_picture(shown):
    controls = widgets.explore(draw_reciprocal, x=(0, 2, 1, 1))
    controls["x"].value = 0
    assert "ZeroDivisionError" in shown.pictures[-1].texts[0].get_text()
    controls["x"].value = 2
    assert len(shown.pictures[-1].axes) == 1 and not shown.pictures[-1].texts


def test_a_start_that_cannot_be_drawn_raises_and_leaves_no_figure_open(shown):
    before = plt.get_fignums()
    with pytest.raises(ZeroDivisionError):
        widgets.explore(draw_reciprocal, x=(0, 2, 1, 0))
    assert plt.get_fignums() == before


def test_a_long_name_is_not_cut_off(shown):
    controls = widgets.explore(lambda temperature, ax: None, temperature=(0.0, 1.0, 0.1, 0.5))
    assert controls["temperature"].style.description_width == "initial"


def test_the_hint_stands_in_an_output_of_its_own_beside_the_sliders_names(shown):
    widgets.explore(draw_line, slope=(0.0, 2.0, 0.5, 1.0), power=(1, 3, 1, 2))
    assert shown.texts == [widgets.HINT, "Sliders: slope, power"]
    assert "Run All Cells" in widgets.HINT


def draw_bar(height, ax):
    shown = ax.imshow([[0, height], [1, 2]])
    ax.figure.colorbar(shown, ax=ax, label="height")
    ax.set(xlabel="column", ylabel="row", title="a colour bar takes room from the Axes")


def pixels(figure):
    return matplotlib.image.imread(io.BytesIO(widgets.png(figure)))


def test_a_move_draws_what_a_fresh_picture_shows_in_the_same_places(shown):
    controls = widgets.explore(draw_bar, height=(0.0, 2.0, 0.5, 1.0))
    controls["height"].value = 2.0
    first, moved = shown.pictures
    fresh = widgets.picture(draw_bar, {"height": 2.0})
    assert pixels(moved).shape == pixels(first).shape
    assert np.mean(np.abs(pixels(moved) - pixels(fresh)) > 0.1) < 1e-3
    assert np.mean(np.abs(pixels(moved) - pixels(first)) > 0.1) > 1e-2


def test_garbage_waits_until_the_picture_is_sent_also_after_a_drawing_that_raises(shown):
    seen = []

    def draw(k, ax):
        seen.append(gc.isenabled())
        if k == 2:
            raise ValueError("too high")

    controls = widgets.explore(draw, k=(0, 2, 1, 0))
    for k in (1, 2):
        controls["k"].value = k
        assert gc.isenabled()
    assert seen == [True, False, False]


def test_a_drawing_that_adds_axes_at_some_values_gets_a_layout_of_its_own(shown):
    def draw(k, ax):
        if k:
            draw_bar(k, ax)

    controls = widgets.explore(draw, k=(0, 2, 1, 0))
    controls["k"].value = 2
    fresh = widgets.picture(draw, {"k": 2})
    np.testing.assert_allclose(pixels(shown.pictures[-1]), pixels(fresh), atol=0.05)


def styled(k, ax):
    for label in ax.get_xticklabels()[k : k + 1]:
        label.set_weight("bold")


def spined(k, ax):
    ax.spines["left"].set_position(("outward", 10 * k))


def scaled(k, ax):
    ax.set_yscale("symlog", linthresh=0.1 + k)


def twinned(k, ax):
    ax.twinx().plot([0, 1], [1, 3 + k])


def shortened(k, ax):
    ax.plot([0, 1], [1e8, 2e8])
    ax.ticklabel_format(style="sci", scilimits=(0, 0), useMathText=k == 1)


def worded(k, ax):
    ax.xaxis.set_major_formatter(lambda place, _: f"{place:.{k}f}")


# What a draw may do to its axes at k = 1 that it does not at k = 0, or does otherwise.
ON_THE_AXES = {
    "nothing": lambda k, ax: None,
    "title and legend": lambda k, ax: (ax.set_title(f"k = {k}"), ax.legend([f"line {k}"])),
    "limits": lambda k, ax: ax.set_xlim(0, 1 + k),
    "inverted": lambda k, ax: ax.set_xlim(k, 1 - k),
    "limits beyond fixed ticks": lambda k, ax: ax.set(xticks=[0, 0.5], xlim=(0, 1 + k)),
    "label": lambda k, ax: ax.set_xlabel("xy"[k]),
    "size of a label": lambda k, ax: ax.set_xlabel("x", fontsize=9 + k),
    "place of a label": lambda k, ax: ax.set_xlabel("x", loc=("left", "right")[k]),
    "distance of a label": lambda k, ax: ax.set_xlabel("x", labelpad=2 + 3 * k),
    "side of a label": lambda k, ax: (
        ax.set_ylabel("y"),
        ax.yaxis.set_label_position(("left", "right")[k]),
    ),
    "side of the ticks": lambda k, ax: ax.yaxis.set_ticks_position(("left", "right")[k]),
    "ticks": lambda k, ax: ax.set_xticks([0, 0.5 + k / 4]),
    "words of ticks": lambda k, ax: ax.set_xticks([0, 1], ["no", ("yes", "maybe")[k]]),
    "a formatter": worded,
    "turned ticks": lambda k, ax: ax.tick_params(labelrotation=45 * k),
    "one bold tick": styled,
    "minor ticks": lambda k, ax: ax.minorticks_on() if k else None,
    "place of minor ticks": lambda k, ax: ax.set_xticks([0.1 + 0.2 * k], minor=True),
    "length of minor ticks": lambda k, ax: (
        ax.set_xticks([0.1], minor=True),
        ax.tick_params(which="minor", length=2 + 4 * k),
    ),
    "grid": lambda k, ax: ax.grid(k == 1),
    "grid always": lambda k, ax: ax.grid(True),
    "ticks inside": lambda k, ax: ax.tick_params(direction="in"),
    "scale": lambda k, ax: ax.set_yscale(("linear", "log")[k]),
    "kind of a scale": scaled,
    "shape": lambda k, ax: ax.set_aspect(1 + k),
    "shape by limits": lambda k, ax: ax.set_aspect(1 + k, adjustable="datalim"),
    "place": lambda k, ax: ax.set_position([0.2, 0.2 + 0.1 * k, 0.5, 0.5]),
    "place of a spine": spined,
    "second axis": twinned,
    "no axes": lambda k, ax: ax.set_axis_off() if k else None,
    "no x axis": lambda k, ax: ax.xaxis.set_visible(k == 0),
    "ground": lambda k, ax: ax.figure.set_facecolor(("white", "0.9")[k]),
    "words over the ticks": lambda k, ax: ax.text(0, -0.3, "xxxxxx", clip_on=False),
    "categories": lambda k, ax: ax.barh(["a", "bc"[k]], [0.2, 0.1]),
    "large numbers": lambda k, ax: ax.plot([0, 1], [1e8, 1e8 + 1 + k]),
    "form of large numbers": shortened,
    "inset": lambda k, ax: ax.inset_axes([0.6, 0.1, 0.3, 0.3]).plot([0, 1 + k]),
    "polar": lambda k, ax: ax.figure.add_axes([0.6, 0.6, 0.3, 0.3], polar=True).set_theta_offset(k),
    "3D": lambda k, ax: ax.figure.add_axes([0.6, 0.6, 0.3, 0.3], projection="3d", azim=40 * k),
    "colour bar": lambda k, ax: ax.figure.colorbar(ax.imshow([[0, 1 + k]]), ax=ax),
}


def kept_and_whole(name, k):
    """The pixels at k by the ticks kept from k = 0, and those of the figure drawn whole."""

    def draw(k, ax):
        ax.plot([0.0, 0.3, 1.0], [0.1, 0.2 + 0.5 * k, 0.9])
        ON_THE_AXES[name](k, ax)

    start = widgets.picture(draw, {"k": 0}, figsize=(4.6, 3.1))
    widgets.png(start)
    kept = KeptTicks(start)
    pixels = kept.picture(widgets.picture(draw, {"k": k}, figsize=(4.6, 3.1), like=start))
    figure = widgets.picture(draw, {"k": k}, figsize=(4.6, 3.1), like=start)
    figure.canvas.figure = figure
    figure.canvas.draw()
    return pixels, np.asarray(figure.canvas.buffer_rgba())


@pytest.mark.parametrize("name", ON_THE_AXES)
@pytest.mark.parametrize("k", [0, 1])
def test_kept_ticks_give_the_picture_that_is_drawn_whole_or_none(name, k):
    pixels, whole = kept_and_whole(name, k)
    assert pixels is None or np.array_equal(pixels, whole)


@pytest.mark.parametrize("name", ["nothing", "title and legend", "inset"])
def test_ticks_are_kept_where_nothing_on_the_axes_changes(name):
    assert kept_and_whole(name, 1)[0] is not None


@pytest.mark.parametrize(
    "name", ["label", "scale", "shape", "categories", "no axes", "a formatter"]
)
def test_ticks_are_kept_at_the_start_values_and_not_where_the_axes_change(name):
    assert kept_and_whole(name, 0)[0] is not None
    assert kept_and_whole(name, 1)[0] is None


def test_the_stored_picture_is_a_png_of_the_whole_figure():
    bundle = widgets._bundle(widgets.picture(draw_line, {"slope": 1.0, "power": 1}))
    image = matplotlib.image.imread(io.BytesIO(base64.b64decode(bundle["image/png"])))
    assert image.shape[:2] == (350, 600)
    assert bundle["text/plain"] == "<Figure size 600x350 with 1 Axes>"


def test_no_figure_stays_open(shown):
    before = plt.get_fignums()
    controls = widgets.explore(draw_line, slope=(0.0, 2.0, 0.5, 1.0), power=(1, 3, 1, 2))
    controls["slope"].value = 2.0
    assert plt.get_fignums() == before


def test_several_columns_give_an_array_of_axes(shown):
    widgets.explore(lambda k, ax: ax[k].plot([0, 1]), ncols=2, k=(0, 1, 1, 1))
    assert [len(ax.lines) for ax in shown.pictures[0].axes] == [0, 1]


def test_whole_numbers_make_a_slider_of_whole_numbers_and_widgets_pass_through(shown):
    menu = ipywidgets.Dropdown(options=["a", "b"])
    controls = widgets.explore(
        lambda k, x, name, ax: None, k=(0, 5, 1, 2), x=(0.0, 1.0, 0.1, 0.5), name=menu
    )
    assert isinstance(controls["k"], ipywidgets.IntSlider)
    assert isinstance(controls["x"], ipywidgets.FloatSlider)
    assert controls["name"] is menu


def test_a_widget_without_a_label_gets_the_name_and_one_with_a_label_keeps_it(shown):
    menus = [ipywidgets.Dropdown(options=["a"], description=text) for text in ("", "which")]
    controls = widgets.explore(lambda first, second, ax: None, first=menus[0], second=menus[1])
    assert [control.description for control in controls.values()] == ["first", "which"]


def test_a_slider_that_is_not_described_by_four_numbers_is_refused(shown):
    with pytest.raises(ValueError, match=r"slope must be .*\(low, high, step, start\), got \(0, 1"):
        widgets.explore(draw_line, slope=(0, 1), power=(1, 3, 1, 2))
