"""Draw what the notebooks show. Every function draws on the Axes given, and fits nothing.

Functions take ax=None (then a new figure is made), use only methods of the Axes,
return the Axes, and never call show or change global style.
"""

import matplotlib.pyplot as plt

# Okabe and Ito's palette, safe for colour-blind readers (without its yellow, faint on white).
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))


def line_style(index):
    """Colour and dash of the index-th line, so that lines differ also in print."""
    return {"color": COLORS[index % len(COLORS)], "linestyle": DASHES[index % len(DASHES)]}


def new_axes(ax=None, figsize=(5.5, 3.5)):
    """Return ax, or the Axes of a new figure."""
    if ax is None:
        _, ax = plt.subplots(figsize=figsize, layout="constrained")
    return ax
