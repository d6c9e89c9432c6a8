"""Brute force: slow, obvious forms that the tests compare the package with."""

import itertools

import numpy as np
from scipy import stats
from scipy.special import log_expit, logsumexp
from scipy.stats import multivariate_normal, norm


def gmm_log_likelihood_by_assignments(X, params):
    """log p(X) of a Gaussian mixture as a sum over all K^N assignments, in nats."""
    K = len(params.weights)
    total = 0.0
    for assignment in itertools.product(range(K), repeat=len(X)):
        joint = 1.0
        for x, k in zip(X, assignment, strict=True):
            gaussian = multivariate_normal(params.means[k], params.covs[k])
            joint *= params.weights[k] * gaussian.pdf(x)
        total += joint
    return float(np.log(total))


def gmm_elbo(X, resp, params):
    """E_q[log p(X, z)] + entropy of q for q(z) = prod_n resp[n, z_n], term by term, in nats."""
    total = 0.0
    for x, row in zip(X, resp, strict=True):
        for k, r in enumerate(row):
            if r > 0:
                gaussian = multivariate_normal(params.means[k], params.covs[k])
                total += r * (np.log(params.weights[k]) + gaussian.logpdf(x) - np.log(r))
    return float(total)


def gmm_m_step(X, resp):
    """Weighted averages, one point and one component at a time: weights, means, covs."""
    N = len(X)
    weights, means, covs = [], [], []
    for r in resp.T:
        nk = sum(r)
        mean = sum(r[n] * X[n] for n in range(N)) / nk
        cov = sum(r[n] * np.outer(X[n] - mean, X[n] - mean) for n in range(N)) / nk
        weights.append(nk / N)
        means.append(mean)
        covs.append(cov)
    return np.array(weights), np.array(means), np.array(covs)


def unit_mixture_log_evidence_by_assignments(x, num_components, prior_std):
    """log p(x), mu integrated out: given c, the points are jointly normal; one c at a time."""
    total = 0.0
    for c in itertools.product(range(num_components), repeat=len(x)):
        same = np.equal.outer(c, c)  # points of one component share its mean
        given_c = multivariate_normal(np.zeros(len(x)), np.eye(len(x)) + prior_std**2 * same)
        total += given_c.pdf(x) / num_components ** len(x)
    return float(np.log(total))


def unit_mixture_log_evidence_by_quadrature(x, num_components, prior_std, num=401):
    """log p(x), c summed out point by point: a grid over mu, for one or two components."""
    grid = np.linspace(-8, 8, num) * prior_std
    axes = np.meshgrid(*[grid] * num_components, indexing="ij")
    density = np.ones_like(axes[0])
    for mu in axes:
        density = density * np.exp(-0.5 * (mu / prior_std) ** 2) / np.sqrt(2 * np.pi) / prior_std
    for point in x:
        likelihoods = [np.exp(-0.5 * (point - mu) ** 2) / np.sqrt(2 * np.pi) for mu in axes]
        density = density * sum(likelihoods) / num_components
    return float(np.log(density.sum() * (grid[1] - grid[0]) ** num_components))


def unit_mixture_elbo(x, means, stds, resp, prior_std):
    """E_q[log p(x, c, mu) - log q] term by term: c by its probability, mu by Gauss-Hermite."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)  # exact for the squares here
    weights = weights / weights.sum()
    total = 0.0
    for k, (mean, std) in enumerate(zip(means, stds, strict=True)):
        for node, weight in zip(nodes, weights, strict=True):
            mu = mean + std * node
            total += weight * (norm.logpdf(mu, 0, prior_std) - norm.logpdf(mu, mean, std))
            for point, row in zip(x, resp, strict=True):
                total += weight * row[k] * norm.logpdf(point, mu, 1)
    for row in resp:
        for r in row:
            if r > 0:
                total += r * (np.log(1 / len(row)) - np.log(r))
    return float(total)


def ising_log_weight(model, x):
    """sum_e J_e x_i x_j + sum_i h_i x_i, edge by edge and site by site."""
    total = 0.0
    for (i, j), coupling in zip(model.edges, model.couplings, strict=True):
        total += coupling * x[i] * x[j]
    for field, spin in zip(model.fields, x, strict=True):
        total += field * spin
    return total


def ising_exact(model):
    """log Z, all E[x_i] and all E[x_i x_j] along the edges, by summing over every state."""
    states = list(itertools.product((-1, 1), repeat=len(model.fields)))
    weights = np.array([np.exp(ising_log_weight(model, x)) for x in states])
    p, states = weights / weights.sum(), np.array(states)
    means = p @ states
    pairs = np.array([p @ (states[:, i] * states[:, j]) for i, j in model.edges])
    return float(np.log(weights.sum())), means, pairs


def ising_bound(model, q):
    """sum_x q(x) [log weight(x) - log q(x)] for q a function of a state, in nats."""
    total = 0.0
    for x in itertools.product((-1, 1), repeat=len(model.fields)):
        probability = q(x)
        if probability > 0:
            total += probability * (ising_log_weight(model, x) - np.log(probability))
    return float(total)


def spanning_tree_edge_frequency(edges, n):
    """How often each edge occurs among all spanning trees, each set of n - 1 edges tried."""
    count, trees = np.zeros(len(edges)), 0
    for chosen in itertools.combinations(range(len(edges)), n - 1):
        part = list(range(n))
        for e in chosen:
            a, b = (part[site] for site in edges[e])
            part = [b if label == a else label for label in part]
        if len(set(part)) == 1:
            trees += 1
            count[list(chosen)] += 1
    return count / trees


def pareto_k_by_likelihood(log_weights):
    """Shape of the largest 3 sqrt(S) weights by maximum likelihood, with SciPy's optimiser."""
    from scipy.stats import genpareto

    ordered = np.sort(log_weights)
    tail = int(3 * np.sqrt(len(ordered)))
    weights = np.exp(ordered[-tail - 1 :] - ordered[-tail - 1])
    return float(genpareto.fit(weights[1:] - weights[0], floc=0.0)[0])


def log_prob_by_change_of_variables(family, dim, num=6):
    """log N(eps) - log|det dz/deps| with the Jacobian by autograd, at num draws z of family."""
    import torch

    state = torch.Generator().manual_seed(7)
    eps = torch.randn((num, dim), generator=state, dtype=torch.float64)
    z = family.sample(num, torch.Generator().manual_seed(7)).detach()
    values = []
    for row in eps:
        jacobian = torch.autograd.functional.jacobian(lambda noise: _push(family, noise), row)
        log_normal = -0.5 * (row @ row).item() - 0.5 * dim * np.log(2 * np.pi)
        values.append(log_normal - np.linalg.slogdet(jacobian.numpy())[1])
    return z, np.array(values)


def _push(family, noise):
    """family.sample with its noise replaced by the given one, (D,) -> (D,)."""
    from unittest import mock

    from vi_helpers import _vi_families

    with mock.patch.object(_vi_families, "draw_noise", lambda *args: noise[None]):
        return family.sample(1)[0]


def latent_log_joint(x, z, params):
    """log p(x, z) of one point and one state of binary latent factors, in nats."""
    centre = params.bias + sum(w for w, on in zip(params.weights.T, z, strict=True) if on)
    log_prior = stats.bernoulli.logpmf(z.astype(int), params.pi).sum()
    return log_prior + stats.norm.logpdf(x, centre, np.sqrt(params.noise_var)).sum()


def latent_elbo(X, params, mean):
    """Sum over z of q(z) [log p(x, z) - log q(z)], point by point and state by state."""
    total = 0.0
    for x, row in zip(X, mean, strict=True):
        for z in map(np.array, itertools.product((0.0, 1.0), repeat=len(row))):
            q = np.prod(np.where(z == 1, row, 1 - row))
            if q > 0:
                total += q * (latent_log_joint(x, z, params) - np.log(q))
    return total


def bayesian_mixture_log_evidence(X, num_components, prior):
    """Sum over all K^N assignments; each point predicted from those before it (chain rule)."""
    terms = []
    for labels in itertools.product(range(num_components), repeat=len(X)):
        total, members = 0.0, [[] for _ in range(num_components)]
        for n, k in enumerate(labels):
            weight = (prior.alpha0 + len(members[k])) / (num_components * prior.alpha0 + n)
            total += np.log(weight) + normal_wishart_predictive(X[n], X[members[k]], prior)
            members[k].append(n)
        terms.append(total)
    return float(logsumexp(terms))


def normal_wishart_predictive(x, seen, prior):
    """log p(x | seen) under one Normal-Wishart component, by Gelman et al.'s formulas."""
    n, dim = len(seen), len(x)
    mean = seen.mean(axis=0) if n else np.zeros(dim)
    scatter = (seen - mean).T @ (seen - mean)
    beta, nu = prior.beta0 + n, prior.nu0 + n
    m = (prior.beta0 * prior.m0 + n * mean) / beta
    shift = prior.beta0 * n / beta * np.outer(mean - prior.m0, mean - prior.m0)
    inv_W = np.linalg.inv(prior.W0) + scatter + shift
    dof = nu + 1 - dim
    return stats.multivariate_t.logpdf(x, m, inv_W * (1 + beta) / (beta * dof), df=dof)


def linear_vae_elbo(model, params, x):
    """log p(x) - KL(q || p(z | x)), (N,), of a VAE with the decoder of params and two latents.

    The posterior and its KL term by linear algebra, one point at a time; vae only encodes.
    """
    import torch

    with torch.no_grad():
        means, log_stds = (part.numpy() for part in model.encode(torch.tensor(x)))
    precision = np.eye(2) + params.weights.T @ params.weights / params.noise_var
    marginal = params.weights @ params.weights.T + params.noise_var * np.eye(len(params.bias))
    log_p = multivariate_normal(params.bias, marginal).logpdf(x)
    kl = []
    for point, mean, var in zip(x, means, np.exp(2 * log_stds), strict=True):
        pull = params.weights.T @ (point - params.bias) / params.noise_var
        offset = mean - np.linalg.solve(precision, pull)
        log_ratio = -np.log(var).sum() - np.linalg.slogdet(precision)[1]
        kl.append(0.5 * (np.diag(precision) @ var + offset @ precision @ offset - 2 + log_ratio))
    return log_p - np.array(kl)


def logistic_posterior_on_a_grid(X, y, prior_std):
    """Two weights on a grid from -14 to 14: points (S, 2), their probabilities, log p(y)."""
    axis = np.linspace(-14, 14, 561)
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    log_joint = stats.norm.logpdf(points, 0, prior_std).sum(axis=1)
    for features, label in zip(X, y, strict=True):
        log_joint += log_expit((2 * label - 1) * points @ features)
    log_total = logsumexp(log_joint)
    return points, np.exp(log_joint - log_total), log_total + 2 * np.log(axis[1] - axis[0])


def elbo_gradient_on_a_grid(log_joint, family, dim):
    """Gradient of E_q[log_joint - log q] in the family's parameters, for dim 1 or 2."""
    import torch

    axis = torch.linspace(-14, 14, 401 if dim == 2 else 40_001, dtype=torch.float64)
    z = axis[:, None] if dim == 1 else torch.cartesian_prod(axis, axis)
    log_q = family.log_prob(z)
    elbo = (log_q.exp() * (log_joint(z) - log_q)).sum() * (axis[1] - axis[0]) ** dim
    return torch.cat([g.flatten() for g in torch.autograd.grad(elbo, list(family.parameters()))])
