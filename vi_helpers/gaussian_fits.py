"""The Gaussian nearest to a target: exclusive, least KL(q||p), or inclusive, least KL(p||q).

The exclusive fit descends from a start to a local minimum, so restarts matter; the inclusive fit
matches mean and variance and is global. Everything is deterministic quadrature, in nats.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.optimize import minimize

from vi_helpers import quadrature, validation
from vi_helpers._plane_fit import PlaneFit as PlaneFit
from vi_helpers._plane_fit import fit_gaussian_plane as fit_gaussian_plane
from vi_helpers.densities import LOG_2PI, evaluate, normal_logpdf
from vi_helpers.results import tolerance, warn_not_converged


@dataclass(frozen=True)
class GaussianFit:
    """A Gaussian fitted to a target on the line.

    mean, std : of q
    kl        : KL(q || p) if direction is "exclusive", KL(p || q) if "inclusive"; nats, with
                p normalised even when log_p was not
    path      : (n_iter + 1, 3) mean, std, kl from the start to the fit
    """

    mean: float
    std: float
    kl: float
    direction: str
    path: np.ndarray
    converged: bool
    n_iter: int


def fit_gaussian(log_p, init_mean, init_std, direction="exclusive", *, max_iter=200, tol=1e-10):
    """The Gaussian nearest to a target on the line.

    log_p     : callable (S,) -> (S,), nats; need not be normalised
    direction : "exclusive" descends KL(q || p) from N(init_mean, init_std²) to the local minimum
                reached from there; "inclusive" matches the mean and variance of p, the global
                minimum of KL(p || q). init_mean and init_std then only place the quadrature.
    tol       : on the gradient with respect to (mean / init_std, log std), in nats; 0 goes on
                to max_iter or to rounding
    Returns a GaussianFit. Accurate to about 1e-8 for smooth targets whose modes are wider than
    1/500 of their distance from init_mean.
    Raises ValueError for bad starts, NaN, a target without a finite integral (or, inclusive,
    variance), a target too narrow or too far from the start to be integrated, and, exclusive,
    a target that is 0 within 9 std of the start: KL(q || p) = inf.
    """
    max_iter, tol = validation.integer("max_iter", max_iter), tolerance(tol)
    init_mean = validation.number("init_mean", init_mean)
    init_std = validation.positive_number("init_std", init_std)
    validation.one_of("direction", direction, ("exclusive", "inclusive"))
    x, log_weight, log_z = _normalise(log_p, init_mean, init_std)
    if direction == "exclusive":
        fit = _descend(log_p, log_z, init_mean, init_std, max_iter, tol)
    else:
        fit = _match_moments(log_p, x, log_weight, log_z, init_mean, init_std)
    again = _normalise(log_p, fit.mean, fit.std)[2]
    if abs(again - log_z) > 1e-5:
        raise ValueError(
            "log_p must have modes wider than 1/500 of their distance from init_mean = "
            f"{init_mean:g}, got a log integral of {log_z:.6g} seen from there and {again:.6g} "
            f"seen from the fit at {fit.mean:g}: start nearer to the modes"
        )
    return fit


def _match_moments(log_p, x, log_weight, log_z, init_mean, init_std):
    weight = np.exp(log_weight)
    mean = weight @ x
    second = weight * (x - mean) ** 2
    if max(second[0], second[-1]) > 1e-9 * second.sum():
        raise ValueError("log_p must have a finite variance for the inclusive fit")
    std = np.sqrt(second.sum())
    if std == 0:
        raise ValueError(f"log_p must be wide enough to see from init_mean = {init_mean:g}")

    def kl_to(mean, std):
        inside = weight > 0
        at_p = evaluate("log_p", log_p, x[inside]) - log_z
        return weight[inside] @ (at_p - normal_logpdf(x[inside], mean, std))

    path = np.array([[m, s, kl_to(m, s)] for m, s in [(init_mean, init_std), (mean, std)]])
    return GaussianFit(float(mean), float(std), float(path[-1, 2]), "inclusive", path, True, 1)


def all_minima(log_p, init_means, init_stds, *, tol=1e-4):
    """Every distinct local minimum of KL(q || p) reached from the grid of starts, best first.

    init_means, init_stds : 1-D; all pairs are tried. Two fits are the same minimum when their
    means and stds agree within tol. Returns a list of (fit, number of starts that led there).
    """
    init_means = np.atleast_1d(validation.finite("init_means", init_means))
    validation.vector("init_means", init_means)
    init_stds = np.atleast_1d(validation.positive("init_stds", init_stds))
    validation.vector("init_stds", init_stds)
    tol = tolerance(tol)
    found = []
    for mean in init_means:
        for std in init_stds:
            fit = fit_gaussian(log_p, mean, std)
            for entry in found:
                if abs(entry[0].mean - fit.mean) < tol and abs(entry[0].std - fit.std) < tol:
                    entry[1] += 1
                    break
            else:
                found.append([fit, 1])
    return sorted(map(tuple, found), key=lambda entry: (round(entry[0].kl, 8), entry[0].mean))


def exclusive_derivatives(log_p, mean, std):
    """E_q[log q - log p] with its gradient and Hessian in (mean, log std), q = N(mean, std²).

    log_p : callable (S,) -> (S,); only its values are used. The derivatives of E_q[log p] are
    expectations of log p times Hermite polynomials: integrate by parts (Stein's identity).
    Returns (value, (2,), (2, 2)); the value is KL(q || p) when log_p is normalised. Where log_p is
    -inf within 9 std of the mean it is inf, and the derivatives are NaN.
    """
    mean, std = validation.number("mean", mean), validation.positive_number("std", std)
    nodes, weights = quadrature.normal_line()
    values = evaluate("log_p", log_p, mean + std * nodes)
    if np.isneginf(values).any():
        return np.inf, np.full(2, np.nan), np.full((2, 2), np.nan)
    moment = [weights @ (values * nodes**k) for k in range(5)]
    value = -0.5 * (1 + LOG_2PI) - np.log(std) - moment[0]
    gradient = -np.array([moment[1] / std, moment[2] - moment[0] + 1.0])
    cross = (moment[3] - 3 * moment[1]) / std
    hessian = -np.array(
        [
            [(moment[2] - moment[0]) / std**2, cross],
            [cross, moment[4] - 4 * moment[2] + moment[0]],
        ]
    )
    return value, gradient, hessian


def _normalise(log_p, centre, scale):
    """Nodes that reach far and are dense near centre, their log probabilities, and log Z."""
    t = np.linspace(-20, 20, 20_001)
    x = centre + scale * np.sinh(t)
    log_terms = evaluate("log_p", log_p, x) + np.log(scale * np.cosh(t) * (t[1] - t[0]))
    top = log_terms.max()
    if top == -np.inf:
        raise ValueError(f"log_p must be finite somewhere near init_mean = {centre:g}, got -inf")
    terms = np.exp(log_terms - top)
    if max(terms[0], terms[-1]) > 1e-6:
        raise ValueError("log_p must have a finite integral, got tails that do not decay")
    log_z = top + np.log(terms.sum())
    return x, log_terms - log_z, log_z


def _descend(log_p, log_z, init_mean, init_std, max_iter, tol):
    scale = np.array([init_std, 1.0])  # descend in (mean / init_std, log std)

    def unpack(v):
        return init_mean + init_std * v[0], init_std * np.exp(v[1])

    @lru_cache(maxsize=4)  # the optimiser asks for value, gradient and Hessian one by one
    def at(v):
        value, gradient, hessian = exclusive_derivatives(log_p, *unpack(v))
        return value + log_z, gradient * scale, hessian * np.outer(scale, scale)

    def objective(v):
        return at(tuple(v))

    start = np.zeros(2)
    if not np.isfinite(objective(start)[0]):
        raise ValueError(
            f"log_p must be finite within 9 init_std = {init_std:g} of init_mean = {init_mean:g}: "
            "got -inf, so KL(q||p) is infinite there (or log_p underflows: work in log space)"
        )
    path = [(*unpack(start), objective(start)[0])]
    fit = minimize(
        lambda v: objective(v)[0],
        start,
        method="trust-exact",
        jac=lambda v: objective(v)[1],
        hess=lambda v: objective(v)[2],
        callback=lambda v: path.append((*unpack(v), objective(v)[0])),
        options={"gtol": max(tol, 1e-6), "maxiter": max_iter, "initial_trust_radius": 0.25},
    )
    # Values of KL no longer resolve the last digits; its gradient still does.
    end, (value, gradient, hessian) = fit.x, objective(fit.x)
    for _ in range(5):
        if not tol < np.abs(gradient).max() < 1e-3 or np.linalg.eigvalsh(hessian)[0] < 1e-8:
            break
        end = end - np.linalg.solve(hessian, gradient)
        value, gradient, hessian = objective(end)
    path[len(path) - 1 or 1 :] = [(*unpack(end), value)]  # the last step, with all its digits
    size = np.abs(gradient).max()
    if size > tol > 0:
        warn_not_converged("fit_gaussian", len(path) - 1, size, tol, "slope of KL(q||p), in nats,")
    mean, std = map(float, path[-1][:2])
    converged = bool(size <= tol)
    return GaussianFit(
        mean, std, float(value), "exclusive", np.array(path), converged, len(path) - 1
    )
