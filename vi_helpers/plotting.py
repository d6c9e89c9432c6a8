"""Draw what the notebooks show. Every function draws on the Axes given, and fits nothing.

Functions take ax=None (then a new figure is made), use only methods of the Axes,
return the Axes, and never call show or change global style.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from vi_helpers import validation

# Okabe and Ito's palette, safe for colour-blind readers; its sky blue and orange are darkened, and
# its yellow is left out, so that every line has a contrast of at least 3 on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#3399CC", "#B87F00", "#000000")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))


def line_style(index):
    """Colour and dash of the index-th line, so that lines differ also in print."""
    index = validation.integer("index", index, minimum=0)
    return {"color": COLORS[index % len(COLORS)], "linestyle": DASHES[index % len(DASHES)]}


def new_axes(ax=None, figsize=(5.5, 3.5)):
    """Return ax, or the Axes of a new figure."""
    figsize = validation.positive("figsize", figsize, shape=(2,))
    if ax is not None:
        return validation.instance("ax", ax, Axes)
    return plt.subplots(figsize=figsize, layout="constrained")[1]


def plot_densities(log_densities, low, high, ax=None, num=801, fill_first=True):
    """Curves of densities on the line; the first is the target, shaded.

    log_densities : dict label -> callable (S,) -> (S,) in nats (normalised to compare heights)
    """
    ax, fill_first = new_axes(ax), validation.flag("fill_first", fill_first)
    x = _axis("low, high", (low, high), num)
    for index, (label, log_density) in enumerate(
        validation.instance("log_densities", log_densities, dict).items()
    ):
        density = np.exp(validation.evaluate(f"log_densities[{label!r}]", log_density, x))
        if index == 0 and fill_first:
            ax.fill_between(x, density, color="0.85")
            ax.plot(x, density, color="0.35", label=label)
        else:
            ax.plot(x, density, label=label, **line_style(index - fill_first))
    ax.set(xlabel="x", ylabel="density", xlim=(low, high))
    ax.set_ylim(bottom=0)
    ax.legend()
    return ax


def plot_contours(log_p, xlim, ylim, ax=None, levels=(0.5, 2.0, 4.5), num=161, **style):
    """Contours of a density in the plane, at the given drops (nats) below its highest value.

    log_p : callable (S, 2) -> (S,), need not be normalised. The default levels are those where
    a Gaussian is 1, 2 and 3 standard deviations out.
    style : passed on to Axes.contour, e.g. colors, linestyles.
    """
    ax = new_axes(ax, figsize=(4, 4))
    x, y = _axis("xlim", xlim, num), _axis("ylim", ylim, num)
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    values = validation.evaluate("log_p", log_p, points).reshape(num, num)
    heights = sorted(values.max() - validation.vector("levels", levels))
    ax.contour(x, y, values, levels=heights, **{"colors": "0.35", "linestyles": "-", **style})
    ax.set(xlim=xlim, ylim=ylim)
    return ax


def plot_ellipse(mean, cov, ax=None, radii=(1, 2), label=None, **style):
    """Where N(mean, cov) in the plane is radii standard deviations out; style goes to plot."""
    ax = new_axes(ax, figsize=(4, 4))
    mean = validation.vector("mean", mean, size=2)
    angle = np.linspace(0, 2 * np.pi, 181)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    chol = np.linalg.cholesky(validation.covariance("cov", cov, shape=(2, 2)))
    style = {**line_style(0), **style}
    for radius in validation.vector("radii", radii):
        x, y = mean[:, None] + radius * chol @ circle
        ax.plot(x, y, label=label, **style)
        label = None  # one entry in the legend for all rings
    return ax


def plot_images(images, ncols=10, ax=None, title=None, vmax=1.0):
    """Images (N, H, W) side by side, ncols in a row; 0 is white and vmax is black."""
    images = validation.finite("images", images, ndim=3)
    if images.size == 0:
        raise ValueError(f"images must hold at least one pixel, got shape {images.shape}")
    ncols, vmax = validation.integer("ncols", ncols), validation.positive_number("vmax", vmax)
    count, height, width = images.shape
    nrows = -(-count // ncols)
    mosaic = np.full((nrows, height + 1, ncols, width + 1), 0.25 * vmax)  # grey lines between
    mosaic[:, :-1, :, :-1] = 0
    for index, image in enumerate(images):
        mosaic[index // ncols, :-1, index % ncols, :-1] = image
    ax = new_axes(ax, figsize=(0.65 * ncols, 0.65 * nrows + 0.4))
    mosaic = mosaic.reshape(nrows * (height + 1), ncols * (width + 1))[:-1, :-1]
    ax.imshow(mosaic, cmap="gray_r", vmin=0, vmax=vmax)
    ax.set_axis_off()
    if title is not None:
        ax.set_title(title, fontsize=10)
    return ax


def plot_mixture(X, resp, means, covs, ax=None, radii=(1, 2), size=14):
    """Points in the plane, coloured by responsibility, with an ellipse for each component.

    X : (N, 2); resp : (N, K) probabilities; means : (K, 2); covs : (K, 2, 2)
    A point shared by components gets the mixture of their colours.
    """
    ax = new_axes(ax, figsize=(4.5, 4))
    X = validation.data("X", X, dim=2)
    means = validation.data("means", means, dim=2)
    covs = validation.covariance("covs", covs, shape=(len(means), 2, 2))
    resp = validation.probabilities("resp", resp, shape=(len(X), len(means)))
    size = validation.positive_number("size", size)
    palette = np.array([to_rgb(line_style(k)["color"]) for k in range(len(means))])
    ax.scatter(*X.T, s=size, c=np.clip(resp @ palette, 0, 1), alpha=0.7, linewidths=0)
    for k, (mean, cov) in enumerate(zip(means, covs, strict=True)):
        plot_ellipse(mean, cov, ax, radii, linewidth=1.8, **line_style(k))
        ax.plot(*mean, marker="x", color="black", markersize=7, markeredgewidth=2)
    return ax


def _axis(name, limits, num):
    """num >= 2 equal steps between two limits, low < high."""
    low, high = validation.finite(name, limits, shape=(2,))
    if not low < high:
        raise ValueError(f"{name} must rise, got {low:g} and {high:g}")
    return np.linspace(low, high, validation.integer("num", num, minimum=2))
