"""Spins on a graph: log Z and marginals, exact, by mean field, by chains and by messages.

Every method here gives log Z as energy(model, q) plus the entropy of its Marginals q.
Sources: Wainwright and Jordan 2008, chapters 3 to 5 and 7; MacKay 2003, chapters 31 and 33.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from vi_helpers import _ising_exact, validation
from vi_helpers._ising_chains import chain_plan, sweep_chains
from vi_helpers._ising_messages import (
    beliefs,
    cavity_fields,
    checked_damping,
    checked_weights,
    message,
    passed,
    spanning_tree_weights,
    spin_entropy,
    update_messages,
)
from vi_helpers._ising_model import IsingModel, Marginals, grid
from vi_helpers.results import climb, tolerance, warn_not_converged

__all__ = [
    "BeliefResult",
    "IsingModel",
    "Marginals",
    "beliefs",
    "cavity_fields",
    "elbo",
    "energy",
    "enumerate_states",
    "exact_marginals",
    "fit_belief_propagation",
    "fit_chains",
    "fit_mean_field",
    "gibbs_sweep",
    "grid",
    "independent",
    "log_partition",
    "message",
    "spanning_tree_weights",
    "transfer_matrix",
    "update_messages",
    "update_sites",
]


# Exact answers


def log_partition(model):
    """Exact log Z in nats: transfer matrix when the model is a grid, else enumeration (n <= 20).

    A grid may be up to 20 wide on its shorter side. Raises ValueError, with the size of the
    table that would be needed, when neither is possible.
    """
    if _ising_exact.grid_shape(_check(model)) is None:
        return enumerate_states(model)[0]
    return _ising_exact.transfer(model, _ising_exact.grid_shape(model))[0]


def exact_marginals(model):
    """The exact Marginals, by the same routes and with the same limits as log_partition."""
    if _ising_exact.grid_shape(_check(model)) is None:
        return enumerate_states(model)[1]
    return transfer_matrix(model)[1]


def enumerate_states(model):
    """(log Z, Marginals) by summing over all 2^n states, n <= 20."""
    return _ising_exact.enumerated_marginals(_check(model))


def transfer_matrix(model):
    """(log Z, Marginals) of a grid (edges may be missing), row after row, one site at a time."""
    shape = _ising_exact.grid_shape(_check(model))
    if shape is None:
        raise ValueError("model must be a grid with its sites numbered row by row")
    return _ising_exact.transfer_marginals(model, shape)


# Mean field: lower bounds


def independent(model, magnetisations):
    """The Marginals of a q under which the spins are independent, with these means (n,)."""
    return _independent(model, _means("magnetisations", magnetisations, _check(model)))


def _independent(model, means):
    i, j = model.edges.T
    return Marginals(means, means[i] * means[j], spin_entropy(means))


def energy(model, q):
    """E_q[sum J x x + sum h x] in nats (physics' energy, with the sign turned); q : Marginals."""
    _check(model)
    came = np.shape(validation.instance("q", q, Marginals).magnetisations), np.shape(q.correlations)
    if came != ((model.num_sites,), (len(model.edges),)):
        raise ValueError(
            f"q must have {model.num_sites} spins and {len(model.edges)} edges like the model, "
            f"got {came}"
        )
    return _energy(model, q)


def _energy(model, q):
    return float(model.couplings @ q.correlations + model.fields @ q.magnetisations)


def _bound(model):
    return lambda q: _energy(model, q) + q.entropy


def elbo(model, q):
    """energy + entropy in nats: a lower bound on log Z when q is a distribution over all spins."""
    return energy(model, q) + q.entropy


def update_sites(model, magnetisations, sites):
    """The best means of these sites given all others: tanh(h_i + sum_j J_ij m_j).

    sites : (k,) no two joined, for instance one of model.colours. Returns new means (n,).
    """
    means = _means("magnetisations", magnetisations, _check(model)).copy()
    sites = validation.indices("sites", sites, model.num_sites)
    means[sites] = np.tanh(model.fields[sites] + model.adjacency[sites] @ means)
    return means


def fit_mean_field(model, *, init=None, max_iter=5000, tol=1e-10):
    """Coordinate ascent of the bound on log Z over independent spins, one colour at a time.

    init : (n,) means in [-1, 1]; None starts from tanh(fields). Without fields that is zero,
           where the updates stay for ever: start elsewhere.
    tol  : nats
    Returns FitResult: params the Marginals of q; elbos never fall, each is <= log Z.
    """
    start = np.tanh(_check(model).fields) if init is None else _means("init", init, model)

    def sweep(q):  # update_sites for each colour, with the rows of the matrix cut out once
        means = q.magnetisations.copy()
        for sites, couplings in model.rows_by_colour:
            means[sites] = np.tanh(model.fields[sites] + couplings @ means)
        return _independent(model, means)

    q = _independent(model, start)
    return climb("fit_mean_field", q, sweep, _bound(model), max_iter=max_iter, tol=tol)


def fit_chains(model, chains, *, init=None, max_iter=5000, tol=1e-10):
    """Structured mean field: q is a product of chains, each exact within.

    chains : lists of sites, each a path of the graph, disjoint; sites in none stand alone
    init   : (n,) means in [-1, 1] of independent spins to start from; None as fit_mean_field.
             The first sweep from there raises the bound of those independent spins.
    Returns FitResult: params the Marginals of q; elbos never fall, each is <= log Z.
    """
    start = np.tanh(_check(model).fields) if init is None else _means("init", init, model)
    plan, cross, inside = chain_plan(model, chains)

    def sweep(q):
        return sweep_chains(model, q, plan, cross, inside)

    q = _independent(model, start)
    return climb("fit_chains", q, sweep, _bound(model), max_iter=max_iter, tol=tol)


# Messages


@dataclass(frozen=True, eq=False)
class BeliefResult:
    """The outcome of belief propagation.

    params    : Marginals, with the messages
    log_z     : nats; Bethe's estimate, or with tree weights an upper bound, once converged
    converged : whether no message moved by tol or more
    n_iter    : iterations run
    changes   : (n_iter,) largest change of a message in each iteration
    """

    params: Marginals
    log_z: float
    converged: bool
    n_iter: int
    changes: np.ndarray


def fit_belief_propagation(
    model, *, edge_weights=None, damping=0.5, init=None, max_iter=5000, tol=1e-11
):
    """Pass messages until none changes by tol: loopy BP (Bethe), or tree-reweighted.

    edge_weights : None for belief propagation; one number or (E,) in (0, 1] for the
                   tree-reweighted form. log_z is an upper bound at a fixed point when the weights
                   are edge probabilities of random spanning trees, see spanning_tree_weights.
    damping      : share of the old message kept, in [0, 1)
    init         : (2, E) messages to start from; None starts from zero
    Returns BeliefResult; warns once when max_iter comes first. Exact on trees.
    """
    _check(model)
    weights = checked_weights(model, 1.0 if edge_weights is None else edge_weights)
    damping = checked_damping(damping)
    max_iter, tol = validation.integer("max_iter", max_iter), tolerance(tol)
    shape = (2, len(model.edges))
    messages = np.zeros(shape) if init is None else validation.finite("init", init, shape=shape)
    changes, converged = [], False
    while not converged and len(changes) < max_iter:
        new = passed(model, messages, weights, damping)
        changes.append(float(np.abs(new - messages).max(initial=0.0)))
        messages, converged = new, changes[-1] < tol
    if not converged and tol > 0:
        warn_not_converged(
            "fit_belief_propagation", max_iter, changes[-1], tol, "change of a message"
        )
    log_z, marginals = beliefs(model, messages, weights)
    return BeliefResult(marginals, log_z, converged, len(changes), np.array(changes))


# Sampling


def gibbs_sweep(model, x, rng):
    """Redraw every spin of x (n,) given the others, one colour at a time; returns new spins."""
    x = validation.finite("x", x, shape=(_check(model).num_sites,)).copy()
    if (np.abs(x) != 1).any():
        raise ValueError(f"x must hold spins of -1 and 1, got {np.unique(x)[:5]}")
    validation.generator("rng", rng)
    for sites, couplings in model.rows_by_colour:
        field = model.fields[sites] + couplings @ x
        x[sites] = np.where(rng.random(len(sites)) < expit(2 * field), 1.0, -1.0)
    return x


def _check(model):
    return validation.instance("model", model, IsingModel)


def _means(name, value, model):
    means = validation.finite(name, value, shape=(_check(model).num_sites,))
    if np.abs(means).max() > 1:
        raise ValueError(f"{name} must be in [-1, 1], got {means[np.abs(means).argmax()]:g}")
    return means
