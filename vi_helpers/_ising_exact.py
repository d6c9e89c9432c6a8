"""Engine of ising: log Z and marginals by brute force, in log space.

Either one table over all states, or a transfer matrix that walks along a grid.
"""

import numpy as np
from scipy.special import logsumexp

from vi_helpers._ising_model import Marginals, grid_edges

MAX_SITES = 20  # a table of 2^20 numbers, for either route
SPIN = np.array([-1.0, 1.0])


def enumerated_table(model):
    """log of the unnormalised probability of all 2^n states; site 0 is the slowest index."""
    n = model.num_sites
    if n > MAX_SITES:
        raise ValueError(
            f"model has {n} sites and is no grid: enumeration would need a table of "
            f"2^{n} = {2.0**n:.3g} numbers, at most 2^{MAX_SITES} are allowed"
        )
    table = np.zeros(2**n)
    for site, field in enumerate(model.fields):
        table.reshape(2**site, 2, -1)[:] += field * SPIN[:, None]
    for (i, j), coupling in zip(model.edges, model.couplings, strict=True):
        i, j = min(i, j), max(i, j)
        pair = coupling * np.outer(SPIN, SPIN)
        table.reshape(2**i, 2, 2 ** (j - i - 1), 2, -1)[:] += pair[:, None, :, None]
    return table


def enumerated_marginals(model):
    """(log Z, Marginals) by summing over all states."""
    table = enumerated_table(model)
    log_z = float(logsumexp(table))
    p = np.exp(table - log_z)
    means = [p.reshape(2**i, 2, -1).sum(axis=(0, 2)) @ SPIN for i in range(model.num_sites)]
    pairs = []
    for i, j in np.sort(model.edges, axis=1):
        joint = p.reshape(2**i, 2, 2 ** (j - i - 1), 2, -1).sum(axis=(0, 2, 4))
        pairs.append(SPIN @ joint @ SPIN)
    return finish(model, log_z, np.array(means), np.array(pairs))


def grid_shape(model):
    """(height, width) for which all edges lie on the grid, the narrowest; else None."""
    n, (low, high) = model.num_sites, np.sort(model.edges, axis=1).T
    found = []
    for width in range(1, n + 1):
        if n % width == 0:
            in_row = (high - low == 1) & (high % width != 0)
            if np.all(in_row | (high - low == width)):
                found.append((n // width, width))
    return min(found, key=min) if found else None


def grid_order(model, shape):
    """The sites in the order in which the transfer matrix adds them, and for each its edges.

    Returns order (n,), up (n,) and left (n,): the index of the edge to the site width places
    and one place earlier in that order, or -1; and the width of the table.
    """
    height, width = shape
    site = np.arange(height * width).reshape(height, width)
    if width > height:  # walk along the short side: the table has 2^width entries
        site, height, width = site.T, width, height
    if width > MAX_SITES:
        raise ValueError(
            f"model is a grid {width} sites wide: its transfer matrix would need a table of "
            f"2^{width} = {2.0**width:.3g} numbers, at most 2^{MAX_SITES} are allowed"
        )
    edge = {tuple(sorted(pair)): e for e, pair in enumerate(model.edges.tolist())}
    order = site.ravel()
    up, left = np.full(len(order), -1), np.full(len(order), -1)
    for a, b in grid_edges(height, width):
        e = edge.get(tuple(sorted((int(order[a]), int(order[b])))), -1)
        if b - a == width and a % width == b % width:
            up[b] = e
        else:
            left[b] = e
    return order, up, left, width


def transfer(model, shape, keep=False):
    """Add the sites of a grid one by one, keeping a table over the last width sites.

    Returns log Z, the tables before each site (if keep) and what a site adds to the exponent.
    """
    order, up, left, width = grid_order(model, shape)
    index = np.arange(2**width)
    oldest, newest = SPIN[index >> (width - 1)], SPIN[index & 1]
    couplings = np.append(model.couplings, 0.0)  # edge -1: no coupling

    def added(step):
        field = model.fields[order[step]] + couplings[up[step]] * oldest
        return (field + couplings[left[step]] * newest)[:, None] * SPIN

    table = np.full(2**width, -width * np.log(2.0))  # sites before the first: free, summed to one
    tables = []
    for step in range(len(order)):
        if keep:
            tables.append(table)
        wide = (table[:, None] + added(step)).reshape(2, -1)
        table = np.logaddexp(wide[0], wide[1])  # the oldest site leaves
    return float(logsumexp(table)), tables, added


def transfer_marginals(model, shape):
    """(log Z, Marginals) of a grid: the tables forward, then the same sums backward."""
    log_z, tables, added = transfer(model, shape, keep=True)
    order, up, left, width = grid_order(model, shape)
    index = np.arange(2**width)
    oldest, newest = SPIN[index >> (width - 1)], SPIN[index & 1]
    means, pairs = np.zeros(model.num_sites), np.zeros(len(model.edges) + 1)
    back = np.zeros(2**width)  # log of the sum over all later sites, given the last width
    for step in reversed(range(len(order))):
        later = added(step) + np.tile(back.reshape(-1, 2), (2, 1))
        p = np.exp(tables[step][:, None] + later - log_z)
        signed = p @ SPIN
        means[order[step]] = signed.sum()
        pairs[up[step]] += signed @ oldest
        pairs[left[step]] += signed @ newest
        back = np.logaddexp(later[:, 0], later[:, 1])
    return finish(model, log_z, means, pairs[:-1])


def finish(model, log_z, means, pairs):
    energy = model.couplings @ pairs + model.fields @ means
    return log_z, Marginals(means, pairs, float(log_z - energy))
