"""Engine of ising: the model itself, its checks, and what is known of a distribution over spins."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from vi_helpers import validation


@dataclass(frozen=True, eq=False)
class IsingModel:
    """p(x) = exp(sum_e J_e x_i x_j + sum_i h_i x_i) / Z, e = (i, j), every spin x_i = -1 or +1.

    edges     : (E, 2) int, sites counted from 0; no self-loops, each pair at most once
    couplings : (E,) J, any sign, nats
    fields    : (n,) h, nats; its length is the number of sites
    Raises ValueError that names the argument when something is wrong.
    """

    edges: np.ndarray
    couplings: np.ndarray
    fields: np.ndarray

    def __post_init__(self):
        fields = validation.finite("fields", self.fields, ndim=1)
        if len(fields) == 0:
            raise ValueError("fields must hold at least one site, got an empty array")
        edges = _checked_edges(self.edges, len(fields))
        couplings = validation.finite("couplings", self.couplings, shape=(len(edges),))
        for name, array in (("edges", edges), ("couplings", couplings), ("fields", fields)):
            kept = array.copy()
            kept.setflags(write=False)
            object.__setattr__(self, name, kept)

    @property
    def num_sites(self):
        return len(self.fields)

    @cached_property
    def adjacency(self):
        """Sparse symmetric (n, n) matrix of the couplings."""
        i, j = self.edges.T
        values = np.concatenate([self.couplings, self.couplings])
        where = (np.concatenate([i, j]), np.concatenate([j, i]))
        return sparse.csr_array((values, where), shape=(self.num_sites, self.num_sites))

    @cached_property
    def colours(self):
        """Arrays of sites, no two of one array joined: on a grid, the two of a checkerboard."""
        return classes_of(greedy_colours(self.edges, self.num_sites))

    @cached_property
    def rows_by_colour(self):
        """[(sites, their rows of adjacency)], one pair a colour: a sweep over all sites."""
        return [(sites, self.adjacency[sites]) for sites in self.colours]


@dataclass(frozen=True, eq=False)
class Marginals:
    """What a method says about the spins; np.asarray of it gives the magnetisations.

    magnetisations : (n,) E[x_i]
    correlations   : (E,) E[x_i x_j] along the edges
    entropy        : nats, such that the method's value for log Z is energy(model, q) + entropy
    messages       : (2, E) of belief propagation, else None
    """

    magnetisations: np.ndarray
    correlations: np.ndarray
    entropy: float
    messages: np.ndarray | None = None

    def __array__(self, dtype=None, copy=None):
        return np.array(self.magnetisations, dtype=dtype)


def grid(height, width, coupling, field):
    """IsingModel on a grid with open borders; site r * width + c is row r, column c.

    coupling : one number, or (E,), first the edges along rows, then those along columns
    field    : one number, or (height, width), or (height * width,)
    """
    height = validation.integer("height", height)
    width = validation.integer("width", width)
    edges = grid_edges(height, width)
    coupling = validation.finite("coupling", coupling)
    field = validation.finite("field", field)
    if coupling.shape not in ((), (len(edges),)):
        raise ValueError(f"coupling must be one number or ({len(edges)},), got {coupling.shape}")
    if field.shape not in ((), (height, width), (height * width,)):
        raise ValueError(f"field must be one number or ({height}, {width}), got {field.shape}")
    fields = np.broadcast_to(field.ravel(), (height * width,))
    return IsingModel(edges, np.broadcast_to(coupling, (len(edges),)), fields)


def grid_edges(height, width):
    """(E, 2) edges of a grid, sites row by row: first those along rows, then along columns."""
    site = np.arange(height * width).reshape(height, width)
    along_rows = np.stack([site[:, :-1], site[:, 1:]], axis=-1).reshape(-1, 2)
    along_columns = np.stack([site[:-1], site[1:]], axis=-1).reshape(-1, 2)
    return np.concatenate([along_rows, along_columns])


def greedy_colours(edges, n):
    """(n,) colour of each site, the smallest that no earlier neighbour has."""
    low, high = edges.min(axis=1, initial=n), edges.max(axis=1, initial=0)
    order = np.argsort(high, kind="stable")
    low, ends = low[order].tolist(), np.searchsorted(high[order], np.arange(n + 1)).tolist()
    colour = [0] * n
    for site in range(n):
        taken = {colour[other] for other in low[ends[site] : ends[site + 1]]}
        while colour[site] in taken:
            colour[site] += 1
    return np.array(colour)


def classes_of(colour):
    return [np.flatnonzero(colour == c) for c in range(colour.max(initial=0) + 1)]


def sites(name, value):
    """value as an int array, or ValueError that names it."""
    array = validation.array(name, value)
    if array.size == 0:
        return array.astype(int)
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name} must hold whole numbers, got {array.dtype}")
    return array.astype(int)


def check_range(name, array, n):
    if array.size and (array.min() < 0 or array.max() >= n):
        worst = array.min() if array.min() < 0 else array.max()
        raise ValueError(f"{name} must name sites from 0 to {n - 1}, got site {worst}")


def _checked_edges(value, n):
    try:
        edges = sites("edges", value)
    except ValueError as error:
        raise ValueError(f"edges must be whole numbers of shape (E, 2): {error}") from error
    if edges.size == 0:
        return np.empty((0, 2), dtype=int)
    if edges.ndim != 2 or edges.shape[1] != 2:
        raise ValueError(f"edges must have shape (E, 2), got {edges.shape}")
    check_range("edges", edges, n)
    loops = np.flatnonzero(edges[:, 0] == edges[:, 1])
    if len(loops):
        site = edges[loops[0], 0]
        raise ValueError(f"edges must join two different sites, got ({site}, {site})")
    key = edges.min(axis=1) * n + edges.max(axis=1)
    values, counts = np.unique(key, return_counts=True)
    if (counts > 1).any():
        i, j = divmod(int(values[counts > 1][0]), n)
        raise ValueError(f"edges must hold each pair once, got ({i}, {j}) more than once")
    return edges
