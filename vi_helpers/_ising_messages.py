"""Engine of ising: messages, and what they imply.

A message is a field: u adds u x_i to the exponent at its target. Source: Mezard and Montanari 2009,
chapter 14, for the form in fields; Wainwright, Jaakkola and Willsky 2005 for the weights.
"""

import numpy as np
from scipy.special import entr

from vi_helpers import validation
from vi_helpers._ising_model import IsingModel, Marginals


def message(coupling, field):
    """artanh(tanh(coupling) tanh(field)), without overflow: the field that crosses an edge.

    coupling and field broadcast. Raises ValueError for NaN.
    """
    coupling = validation.finite("coupling", coupling)
    field = validation.finite("field", field)
    validation.broadcast(coupling=coupling, field=field)
    return crossing(coupling, field)


def crossing(coupling, field):
    """message, for numbers that are checked."""
    together, apart = np.abs(coupling + field), np.abs(coupling - field)
    softer = np.log1p(np.exp(-2 * together)) - np.log1p(np.exp(-2 * apart))
    return 0.5 * (together - apart + softer)


def log_cosh2(field):
    """log(2 cosh(field)) = log of the sum of exp(field x) over x = -1, 1."""
    return np.abs(field) + np.log1p(np.exp(-2 * np.abs(field)))


def log_z_pair(coupling, a, b):
    """log of the sum of exp(coupling x y + a x + b y) over the four states."""
    return np.logaddexp(coupling + log_cosh2(a + b), -coupling + log_cosh2(a - b))


def spin_entropy(means):
    """Sum of the entropies of independent spins with these means, nats."""
    return float((entr((1 + means) / 2) + entr((1 - means) / 2)).sum())


def cavity_fields(model, messages, edge_weights=1.0):
    """(2, E) field at the two ends of each edge without what came over that edge; and (n,) all.

    messages : (2, E): messages[0, e] goes from edges[e, 0] to edges[e, 1], messages[1, e] back
    Raises ValueError for NaN, shapes that disagree, or edge_weights that are not positive.
    """
    return cavities(*checked_messages(model, messages, edge_weights))


def cavities(model, messages, edge_weights):
    """cavity_fields, for numbers that are checked."""
    i, j = model.edges.T
    weighted = edge_weights * messages
    total = model.fields + np.bincount(j, weighted[0], model.num_sites)
    total += np.bincount(i, weighted[1], model.num_sites)
    return np.stack([total[i], total[j]]) - messages[::-1], total


def update_messages(model, messages, edge_weights=1.0, damping=0.0):
    """All messages at once from the old ones; damping is the share of the old one that is kept.

    Raises ValueError as cavity_fields does, and for a damping outside [0, 1).
    """
    damping = checked_damping(damping)
    return passed(*checked_messages(model, messages, edge_weights), damping)


def passed(model, messages, edge_weights, damping):
    """update_messages, for numbers that are checked."""
    cavity, _ = cavities(model, messages, edge_weights)
    new = crossing(model.couplings / edge_weights, cavity)
    return damping * messages + (1 - damping) * new


def beliefs(model, messages, edge_weights=1.0):
    """(log Z estimate, Marginals) that the messages imply; they mean something at a fixed point.

    For any messages, log p~(x) = log_z + sum_i log b_i + sum_e w_e log(b_ij / b_i b_j).
    Raises ValueError as cavity_fields does.
    """
    model, messages, edge_weights = checked_messages(model, messages, edge_weights)
    (a, b), total = cavities(model, messages, edge_weights)
    J, (i, j) = model.couplings / edge_weights, model.edges.T
    site, weights = log_cosh2(total), edge_weights * np.ones(len(model.edges))
    log_z = float(site.sum() + weights @ (log_z_pair(J, a, b) - site[i] - site[j]))
    means, pairs = np.tanh(total), np.tanh(J + crossing(a, b))
    entropy = log_z - float(model.couplings @ pairs + model.fields @ means)
    return log_z, Marginals(means, pairs, entropy, messages)


def spanning_tree_weights(model):
    """(E,) probability that a uniformly drawn spanning tree holds each edge; sums to n - parts.

    By Kirchhoff: the resistance between the ends when every edge is a resistor of one ohm.
    """
    validation.instance("model", model, IsingModel)
    n, (i, j) = model.num_sites, model.edges.T
    laplacian = np.zeros((n, n))
    np.add.at(laplacian, (i, j), -1.0)
    laplacian += laplacian.T
    laplacian -= np.diag(laplacian.sum(axis=1))
    inverse = np.linalg.pinv(laplacian, hermitian=True)
    return np.minimum(inverse[i, i] + inverse[j, j] - 2 * inverse[i, j], 1.0)


def checked_messages(model, messages, edge_weights):
    """The three, or ValueError: messages (2, E), edge_weights one number or (E,)."""
    validation.instance("model", model, IsingModel)
    messages = validation.finite("messages", messages, shape=(2, len(model.edges)))
    return model, messages, checked_weights(model, edge_weights)


def checked_weights(model, value):
    """edge_weights (E,) in (0, 1], or ValueError; one number stands for all edges."""
    weights = validation.positive("edge_weights", value)
    if weights.shape not in ((), (len(model.edges),)):
        raise ValueError(
            f"edge_weights must be one number or ({len(model.edges)},), got {weights.shape}"
        )
    if weights.size and weights.max() > 1:
        raise ValueError(f"edge_weights must be in (0, 1], got {weights.max():g}")
    return np.broadcast_to(weights, (len(model.edges),))


def checked_damping(damping):
    damping = validation.number("damping", damping)
    if not 0 <= damping < 1:
        raise ValueError(f"damping must be in [0, 1), got {damping:g}")
    return damping
