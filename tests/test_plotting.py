"""plotting: draws on the Axes given and returns them; lines differ in colour and in dash."""

import ast
from pathlib import Path

import matplotlib
import matplotlib.colors

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest

from vi_helpers import densities, plotting


@pytest.fixture
def ax():
    figure, ax = plt.subplots()
    yield ax
    plt.close(figure)


def target(z):
    return densities.mvn_logpdf(z, [1.0, 0.0], [[1.0, 0.5], [0.5, 2.0]])


DRAWINGS = {
    "plot_densities": lambda ax: plotting.plot_densities(
        {"p": densities.two_modes(), "q": densities.normal_logpdf}, -4, 4, ax=ax
    ),
    "plot_contours": lambda ax: plotting.plot_contours(target, (-3, 5), (-5, 5), ax=ax),
    "plot_ellipse": lambda ax: plotting.plot_ellipse([1, 0], np.eye(2), ax=ax),
    "plot_images": lambda ax: plotting.plot_images(np.ones((7, 3, 4)), ncols=5, ax=ax),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_uses_the_axes_given_or_makes_its_own_and_changes_no_style(name, ax):
    before, figures = dict(matplotlib.rcParams), plt.get_fignums()
    assert DRAWINGS[name](ax) is ax
    assert plt.get_fignums() == figures and ax.has_data()
    own = DRAWINGS[name](None)
    assert own is not ax and own.has_data()
    plt.close(own.figure)
    assert dict(matplotlib.rcParams) == before


def test_lines_differ_in_colour_and_in_dash():
    styles = [plotting.line_style(index) for index in range(len(plotting.COLORS))]
    assert len({style["color"] for style in styles}) == len(styles)
    assert len({str(style["linestyle"]) for style in styles}) == len(styles)


def luminance(color):
    """Relative luminance, as the web's guidelines on contrast define it."""
    rgb = np.array(matplotlib.colors.to_rgb(color))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ [
        0.2126,
        0.7152,
        0.0722,
    ]


@pytest.mark.parametrize("color", plotting.COLORS)
def test_a_line_of_every_colour_stands_out_from_white(color):
    assert 1.05 / (luminance(color) + 0.05) >= 3


LINES = {"plot", "step", "contour", "scatter", "errorbar", "axline", "axhline", "axvline", "hlines"}
LINES |= {"vlines", "plot_contours", "plot_ellipse"}
NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("[0-9]*.ipynb"))


TEXTS = {"text", "annotate", "set_title", "suptitle", "set_xlabel", "set_ylabel", "clabel"}


def named_colors(source, methods):
    """(method, colour) of each of these calls that names its colour, as text or in COLORS."""
    code = "\n".join(line for line in source.splitlines() if not line.startswith(("%", "!")))
    for call in ast.walk(ast.parse(code)):
        name = getattr(getattr(call, "func", None), "attr", getattr(call, "func", None))
        name = getattr(name, "id", name)
        for keyword in call.keywords if isinstance(call, ast.Call) and name in methods else []:
            value = getattr(keyword.value, "value", None)
            if keyword.arg not in ("color", "colors", "c", "ecolor"):
                continue
            if isinstance(value, str):
                yield name, value
            elif "COLORS[" in ast.unparse(keyword.value):
                index = getattr(getattr(keyword.value, "slice", None), "value", None)
                chosen = plotting.COLORS if index is None else [plotting.COLORS[index]]
                yield from ((name, color) for color in chosen)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.parametrize(("methods", "least"), [(LINES, 3), (TEXTS, 4.5)], ids=["lines", "texts"])
def test_lines_and_texts_of_the_figures_stand_out_from_white(path, methods, least):
    for index, cell in enumerate(nbformat.read(path, as_version=4).cells):
        if cell.cell_type == "code":
            for name, color in named_colors(cell.source, methods):
                ratio = 1.05 / (luminance(color) + 0.05)
                assert ratio >= least or color == "white", f"cell {index}: {name} in {color}"


AREAS = {"fill_between", "fill_betweenx", "fill", "axvspan", "axhspan", "hist", "bar", "barh"}


def areas_without_a_border(source):
    """Areas too light for a white page that have no edge and whose limits no line follows."""
    code = "\n".join(line for line in source.splitlines() if not line.startswith(("%", "!")))
    calls = [call for call in ast.walk(ast.parse(code)) if isinstance(call, ast.Call)]
    calls = [(getattr(call.func, "attr", ""), call) for call in calls]
    drawn = {
        node.id
        for name, call in calls
        if name in ("plot", "step")
        for argument in call.args
        for node in ast.walk(argument)
        if isinstance(node, ast.Name)
    }
    for name, call in calls:
        keywords = {keyword.arg: keyword.value for keyword in call.keywords}
        face = keywords.get("color", keywords.get("fc", keywords.get("facecolor")))
        face = getattr(face, "value", None)  # colours of the palette are dark enough, if opaque
        light = "alpha" in keywords or (
            isinstance(face, str) and 1.05 / (luminance(face) + 0.05) < 3
        )
        edge = getattr(keywords.get("ec", keywords.get("edgecolor")), "value", "white")
        if name not in AREAS or not light or 1.05 / (luminance(edge) + 0.05) >= 3:
            continue
        limits = {
            node.id
            for argument in call.args[1:]
            for node in ast.walk(argument)
            if isinstance(node, ast.Name)
        }
        if not limits or not limits <= drawn:
            yield ast.unparse(call)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_light_area_has_an_edge_or_lines_along_its_limits(path):
    for index, cell in enumerate(nbformat.read(path, as_version=4).cells):
        if cell.cell_type == "code":
            assert list(areas_without_a_border(cell.source)) == [], f"cell {index}"


def test_a_light_area_without_a_border_is_noticed():
    for source, found in {
        "ax.fill_between(x, y, color='0.9')": 1,
        "ax.fill_between(x, y, color='0.9', ec='0.8')": 1,
        "ax.fill_between(x, y, z, color=COLORS[0], alpha=0.3); ax.plot(x, y)": 1,
        "ax.axhspan(0, 1, color='0.9')": 1,
        "ax.fill_between(x, y, fc='0.9', ec='0.4')": 0,
        "ax.fill_between(x, y, color='0.4')": 0,
        "ax.fill_between(x, y[0], z, color='0.9'); ax.plot(x, z); ax.plot(x, y[0])": 0,
    }.items():
        assert len(list(areas_without_a_border(source))) == found, source


def test_plot_densities_draws_the_densities_themselves(ax):
    plotting.plot_densities(
        {"p": densities.two_modes(), "q": densities.normal_logpdf}, -9, 9, ax=ax
    )
    for line in ax.get_lines():
        assert np.trapezoid(line.get_ydata(), line.get_xdata()) == pytest.approx(1, abs=1e-6)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["p", "q"]


def test_an_ellipse_lies_on_the_contour_of_its_gaussian(ax):
    mean, cov = np.array([1.0, 0.0]), np.array([[1.0, 0.5], [0.5, 2.0]])
    plotting.plot_ellipse(mean, cov, ax=ax, radii=(1, 3), label="q")
    peak = target(mean[None])[0]
    for line, radius in zip(ax.get_lines(), (1, 3), strict=True):
        np.testing.assert_allclose(peak - target(line.get_xydata()), radius**2 / 2)
    assert len(ax.get_legend_handles_labels()[1]) == 1


def test_contours_sit_at_the_stated_drops_below_the_peak(ax):
    plotting.plot_contours(target, (-3, 5), (-5, 5), ax=ax, levels=(0.5, 2.0), num=201)
    (contours,) = ax.collections
    peak = target(np.array([[1.0, 0.0]]))[0]
    for path, drop in zip(contours.get_paths(), (2.0, 0.5), strict=True):
        np.testing.assert_allclose(peak - target(path.vertices), drop, atol=0.02)


def test_images_lie_in_rows_with_a_grey_line_between(ax):
    images = np.arange(7.0)[:, None, None] * np.ones((7, 3, 4))
    mosaic = plotting.plot_images(images, ncols=5, ax=ax, vmax=6).images[0].get_array()
    assert mosaic.shape == (2 * 4 - 1, 5 * 5 - 1)
    assert (mosaic[4:, 5:9] == 6).all() and (mosaic[:3, :4] == 0).all()
    assert (mosaic[3] == 1.5).all() and (mosaic[4:, 10:14] == 0).all()
