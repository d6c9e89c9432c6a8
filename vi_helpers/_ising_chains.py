"""Engine of ising: chains that are exact inside and see each other through their means."""

import numpy as np
from scipy import sparse

from vi_helpers._ising_messages import crossing, log_cosh2, log_z_pair
from vi_helpers._ising_model import Marginals, check_range, classes_of, greedy_colours, sites


def run_chains(couplings, fields):
    """Exact marginals of B chains of L spins at once, by messages forward and backward.

    couplings : (B, L - 1); fields : (B, L)
    Returns means (B, L), pair averages (B, L - 1) and log Z (B,).
    """
    forward, backward = np.zeros_like(fields), np.zeros_like(fields)
    for t in range(fields.shape[1] - 1):
        forward[:, t + 1] = crossing(couplings[:, t], fields[:, t] + forward[:, t])
    for t in reversed(range(fields.shape[1] - 1)):
        backward[:, t] = crossing(couplings[:, t], fields[:, t + 1] + backward[:, t + 1])
    left, right = (fields + forward)[:, :-1], (fields + backward)[:, 1:]
    total = fields + forward + backward
    log_z = log_z_pair(couplings, left, right).sum(axis=1)
    log_z = log_z - log_cosh2(total[:, 1:-1]).sum(axis=1)  # inner sites were counted twice
    if fields.shape[1] == 1:
        log_z = log_cosh2(total[:, 0])
    return np.tanh(total), np.tanh(couplings + crossing(left, right)), log_z


def chain_plan(model, chains):
    """Checked chains, ready to run: (colours, cross edges as a matrix, mask of the edges inside).

    Each colour is a list of batches (sites (B, L), edges (B, L - 1)); chains of one colour do
    not touch, so they are updated together. Sites in no chain become chains of one.
    """
    chains = _checked_chains(model, chains)
    owner, find = _owners(model, chains), _edge_finder(model)
    inside = owner[model.edges[:, 0]] == owner[model.edges[:, 1]]
    none = np.empty(0, dtype=int)
    used = [_edges_along(find, x, c) if len(x) > 1 else none for c, x in enumerate(chains)]
    chords = np.setdiff1d(np.flatnonzero(inside), np.concatenate(used))
    if len(chords):
        i, j = model.edges[chords[0]]
        raise ValueError(
            f"chains[{owner[i]}] is no path: its sites {i} and {j} are joined but not consecutive"
        )
    colour = greedy_colours(owner[model.edges[~inside]], len(chains))
    plan = [_batches(chains, used, members) for members in classes_of(colour)]
    i, j = model.edges[~inside].T
    J, shape = model.couplings[~inside], (model.num_sites, model.num_sites)
    cross = sparse.csr_array((J, (i, j)), shape=shape)
    return plan, (cross + cross.T).tocsr(), inside


def sweep_chains(model, q, plan, cross, inside):
    """Make every chain of q exact in turn, given the means of the sites outside it."""
    means, pairs, entropy = q.magnetisations.copy(), np.empty(len(model.edges)), 0.0
    for batches in plan:
        outside = model.fields + cross @ means
        for members, along in batches:
            J, field = model.couplings[along], outside[members]
            means[members], pairs[along], log_z = run_chains(J, field)
            entropy += log_z.sum() - np.sum(J * pairs[along]) - np.sum(field * means[members])
    i, j = model.edges[~inside].T
    pairs[~inside] = means[i] * means[j]
    return Marginals(means, pairs, float(entropy))


def _checked_chains(model, chains):
    try:
        chains = [sites(f"chains[{c}]", chain) for c, chain in enumerate(chains)]
    except TypeError as error:
        raise ValueError(f"chains must be a list of lists of sites, got {chains!r}") from error
    for c, chain in enumerate(chains):
        if chain.ndim != 1 or chain.size == 0:
            raise ValueError(f"chains[{c}] must be a list of sites, got shape {chain.shape}")
        check_range(f"chains[{c}]", chain, model.num_sites)
    times = np.bincount(np.concatenate([*chains, []]).astype(int), minlength=model.num_sites)
    if (times > 1).any():
        raise ValueError(
            f"chains must not overlap, got site {np.argmax(times > 1)} {times.max()} times"
        )
    return chains + [np.array([site]) for site in np.flatnonzero(times == 0)]


def _owners(model, chains):
    owner = np.empty(model.num_sites, dtype=int)
    for c, chain in enumerate(chains):
        owner[chain] = c
    return owner


def _edge_finder(model):
    """A function from pairs of sites (k, 2) to the numbers of their edges (k,), -1 for none."""
    n = model.num_sites
    keys = np.sort(model.edges, axis=1) @ [n, 1]
    order = np.argsort(keys)
    ordered = np.append(keys[order], n * n)  # the last key belongs to no pair

    def find(pairs):
        wanted = np.sort(pairs, axis=1) @ [n, 1]
        place = np.searchsorted(ordered, wanted)
        return np.where(ordered[place] == wanted, np.append(order, -1)[place], -1)

    return find


def _edges_along(find, chain, c):
    pairs = np.stack([chain[:-1], chain[1:]], axis=1)
    found = find(pairs)
    if (found < 0).any():
        i, j = pairs[np.argmax(found < 0)]
        raise ValueError(f"chains[{c}] is no path: no edge joins its sites {i} and {j}")
    return found


def _batches(chains, used, members):
    lengths = np.array([len(chains[c]) for c in members])
    batches = []
    for length in np.unique(lengths):
        group = members[lengths == length]
        batches.append((np.stack([chains[c] for c in group]), np.stack([used[c] for c in group])))
    return batches
