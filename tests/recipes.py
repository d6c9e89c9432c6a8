"""Right inputs for every public function and class of vi_helpers, and a law that its answer obeys.

test_any_input replaces one argument at a time, so a recipe gives small arguments by name. What may
be put in the place of one is read off its right value: an array, a count, a callable, ...
"""

import types
from dataclasses import dataclass, field
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy import stats
from scipy.special import logsumexp

from vi_helpers import (
    datasets,
    densities,
    divergences,
    elbo,
    ising,
    latent_features,
    logistic,
    mean_field,
    mixture_em,
    mixture_vb,
    ppca,
    small_networks,
    stochastic_vi,
    vae,
)

RECIPES = {}

# Filled by the package from checked parts and never read from a page: nothing to refuse.
RECORDS = {
    "diagnostics.Calibration",
    "divergences.GaussianFit",
    "divergences.PlaneFit",
    "gaussian_fits.GaussianFit",
    "gaussian_fits.PlaneFit",
    "ising.BeliefResult",
    "ising.Marginals",
    "laplace.LaplaceResult",
    "mean_field.UnitMixturePosterior",
    "results.FitResult",
    "stochastic_vi.StochasticFit",
    "vae.TrainResult",
}


@dataclass(frozen=True)
class Recipe:
    """make : Draw -> arguments by name;  law : (answer, arguments) -> nothing, with assertions

    trusted : arguments that are not replaced;  changes : those that the function may change
    says    : for an argument, what an error about it may say in place of its name
    errors  : what a wrong input raises;  may_fail : a right one, too, on a machine without data
    nan_passes : whether NaN and inf come out where they came in
    """

    make: types.FunctionType
    law: types.FunctionType = None
    trusted: tuple = ()
    changes: tuple = ()
    says: dict = field(default_factory=dict)
    errors: tuple = (ValueError, TypeError)
    may_fail: bool = False
    nan_passes: bool = False


def recipe(name, make, law=None, **options):
    assert name not in RECIPES, name
    RECIPES[name] = Recipe(make, law, **options)


class Draw:
    """Random right values of the sizes n points, d dimensions, k components."""

    def __init__(self, seed, folder):
        self.rng, self.folder = np.random.default_rng(seed), folder
        self.n, self.d, self.k = (
            int(self.rng.integers(*limits)) for limits in [(7, 10), (2, 4), (2, 4)]
        )

    def real(self, *shape):
        value = self.rng.normal(size=shape)
        return value if shape else float(value)

    def size(self, *shape):
        value = np.exp(0.3 * self.rng.normal(size=shape))
        return value if shape else float(value)

    def probs(self, *shape):
        value = self.size(*shape)
        return value / value.sum(axis=-1, keepdims=True)

    def cov(self, *shape):
        root = self.rng.normal(size=(*shape, shape[-1]))
        return root @ np.swapaxes(root, -1, -2) + np.eye(shape[-1])

    @property
    def X(self):
        return self.real(self.n, self.d)

    def torch_rng(self):
        return torch.Generator().manual_seed(int(self.rng.integers(1000)))

    def normal(self):
        return partial(densities.normal_logpdf, mean=self.real(), std=self.size())

    def plane(self):
        return partial(densities.mvn_logpdf, mean=self.real(2), cov=self.cov(2))

    def q(self, d=1):
        return elbo.DiagonalNormal(self.real(d), 0.3 * self.real(d))

    def gmm(self):
        return mixture_em.GMMParams(
            self.probs(self.k), self.real(self.k, self.d), self.cov(self.k, self.d)
        )

    def prior(self):
        return mixture_vb.Prior(
            self.size(), self.size(), self.real(self.d), self.cov(self.d), self.d + self.size()
        )

    def vb(self):
        k, d = self.k, self.d
        return mixture_vb.VBParams(
            self.size(k), self.size(k), self.real(k, d), self.cov(k, d), d + self.size(k)
        )

    def factors(self):
        return latent_features.LatentParams(
            0.8 * self.probs(self.k), self.real(self.d, self.k), self.real(self.d), self.size()
        )

    def factor_q(self):
        return latent_features.factorised(self.rng.uniform(0.1, 0.9, (self.n, self.k)))

    def graph(self):
        edges = [(0, 1), (1, 2), (0, 2), (2, 3), (3, 4)]
        return ising.IsingModel(edges, self.real(5), self.real(5))

    def grid(self):
        return ising.grid(2, 3, self.real(7), self.real(6))

    def family(self):
        return stochastic_vi.DiagonalNormal(self.d)

    def vae(self):
        return vae.VAE(2, (3,), image_shape=(2, 2), generator=self.torch_rng())

    def black_and_white(self):
        return torch.tensor(self.rng.integers(0, 2, (5, 2, 2)), dtype=torch.float32)


def log_joint(z):
    """A normal target for torch families."""
    return -0.5 * ((z - 1) ** 2).sum(1)


def log_joint_numpy(z):
    return -0.5 * ((z - 1.0) ** 2).sum(axis=1)


def close(left, right, **tol):
    np.testing.assert_allclose(left, right, **{"rtol": 1e-7, "atol": 1e-9, **tol})


def distribution(p):
    assert (p >= 0).all()
    close(p.sum(axis=-1), 1)


def climbs(fit, top=np.inf):
    assert (np.diff(fit.elbos) > -1e-8 * (1 + np.abs(fit.elbos[1:]))).all()
    assert fit.elbo <= top + 1e-8


# validation


def checked(**options):
    """Arguments name and value beside those of a check."""
    return {"name": "theta", **options}


VALUE = {"trusted": ("name",), "says": {"value": "theta", "X": "theta", "rng": "theta"}}
same = lambda answer, given: close(answer, given["value"])  # noqa: E731

recipe("validation.finite", lambda r: checked(value=r.real(3, 2)), same, **VALUE)
recipe("validation.real", lambda r: checked(value=r.real(3, 2)), same, **VALUE)
recipe("validation.log_values", lambda r: checked(value=r.real(3, 2)), same, **VALUE)
recipe("validation.data", lambda r: checked(X=r.X), **VALUE)
recipe("validation.positive", lambda r: checked(value=r.size(3)), same, **VALUE)
recipe("validation.probabilities", lambda r: checked(value=r.probs(4, 3)), same, **VALUE)
recipe(
    "validation.log_probabilities",
    lambda r: checked(value=np.log(r.probs(4, 3))),
    lambda resp, given: distribution(resp),
    **VALUE,
)
recipe("validation.covariance", lambda r: checked(value=r.cov(3)), same, **VALUE)
recipe("validation.integer", lambda r: checked(value=4), same, **VALUE)
recipe(
    "validation.one_of",
    lambda r: checked(value="a", allowed=("a", "b")),
    trusted=("name", "allowed"),
    says={"value": "theta"},
)
recipe("validation.generator", lambda r: checked(rng=r.rng), **VALUE)
recipe(
    "validation.instance",
    lambda r: checked(value=r.q(), kind=elbo.DiagonalNormal),
    trusted=("name", "kind"),
    says={"value": "theta"},
)
recipe("validation.flag", lambda r: checked(value=True), **VALUE)
recipe("validation.number", lambda r: checked(value=r.real()), same, **VALUE)
recipe("validation.positive_number", lambda r: checked(value=r.size()), same, **VALUE)
recipe("validation.vector", lambda r: checked(value=r.real(3)), same, **VALUE)
recipe("validation.array", lambda r: checked(value=r.real(3)), same, trusted=("name", "value"))
recipe(
    "validation.indices",
    lambda r: checked(value=[2, 0], size=3),
    same,
    trusted=("name", "size"),
    says={"value": "theta"},
)
recipe("validation.methods", lambda r: checked(value=r.q()), trusted=("name", "value"))
recipe(
    "validation.normal",
    lambda r: dict(mean_name="mean", mean=r.real(2), cov_name="cov", cov=r.cov(2)),
    trusted=("mean_name", "cov_name"),
)
recipe("validation.broadcast", lambda r: {})
recipe(
    "validation.evaluate",
    lambda r: dict(name="log_p", log_density=r.normal(), x=r.real(5)),
    trusted=("name", "x"),
    says={"log_density": "log_p"},
)
recipe("validation.function", lambda r: checked(value=log_joint), **VALUE)

# results

recipe(
    "results.climb",
    lambda r: dict(
        name="fit", start=8.0, update=lambda s: s / 2, bound=lambda s: -s, max_iter=60, tol=1e-6
    ),
    lambda fit, given: climbs(fit, 0),
    trusted=("name", "start"),
)
recipe(
    "results.tolerance", lambda r: dict(tol=r.size()), lambda tol, given: close(tol, given["tol"])
)
recipe(
    "results.warn_not_converged",
    lambda r: dict(name="fit", n_iter=3, change=1.0, tol=0.1),
    trusted=("name", "n_iter", "change", "tol"),
)

# quadrature and densities

recipe(
    "quadrature.normal_line",
    lambda r: dict(num=41, reach=6.0),
    lambda pair, given: close(pair[1].sum(), 1),
)
recipe(
    "quadrature.normal_plane",
    lambda r: dict(step=0.5, reach=5.0),
    lambda pair, given: close(pair[1].sum(), 1),
)
recipe(
    "quadrature.expect_normal",
    lambda r: dict(function=np.square, mean=r.real(3), std=r.size(3), num=201),
    lambda second, given: close(second, given["mean"] ** 2 + given["std"] ** 2),
)
recipe(
    "densities.normal_logpdf",
    lambda r: dict(x=r.real(5), mean=r.real(), std=r.size()),
    lambda log_p, given: close(log_p, stats.norm.logpdf(given["x"], given["mean"], given["std"])),
)
recipe(
    "densities.mvn_logpdf",
    lambda r: dict(x=r.X, mean=r.real(r.d), cov=r.cov(r.d)),
    lambda log_p, given: close(
        log_p, stats.multivariate_normal.logpdf(given["x"], given["mean"], given["cov"])
    ),
)


def normal_mixture_law(log_p, given):
    parts = stats.norm.logpdf(0.3, given["means"], given["stds"])
    close(log_p(np.array([0.3])), logsumexp(parts, b=given["weights"]))


def mvn_mixture_law(log_p, given):
    one = [
        stats.multivariate_normal.logpdf(np.ones(2), m, c)
        for m, c in zip(given["means"], given["covs"], strict=True)
    ]
    close(log_p(np.ones((1, 2))), logsumexp(one, b=given["weights"]))


recipe(
    "densities.normal_mixture",
    lambda r: dict(weights=r.probs(3), means=r.real(3), stds=r.size(3)),
    normal_mixture_law,
)
recipe(
    "densities.mvn_mixture",
    lambda r: dict(weights=r.probs(3), means=r.real(3, 2), covs=r.cov(3, 2)),
    mvn_mixture_law,
)
recipe(
    "densities.two_modes",
    lambda r: dict(separation=r.size(), std=r.size()),
    lambda log_p, given: close(log_p(np.array([-0.7])), log_p(np.array([0.7]))),
)
recipe(
    "densities.log_sigmoid",
    lambda r: dict(x=r.real(5)),
    lambda log_s, given: close(log_s, -np.log1p(np.exp(-given["x"]))),
)
recipe(
    "densities.bishop_10_1",
    lambda r: dict(z=r.real(5)),
    lambda log_p, given: close(
        log_p + 0.5 * given["z"] ** 2, densities.log_sigmoid(20 * given["z"] + 4)
    ),
)

# divergences and fits


def gaussian_law(fit, given):
    target = given["log_p"].keywords
    close([fit.mean, fit.std], [target["mean"], target["std"]], rtol=1e-4, atol=1e-4)
    close(fit.kl, 0, atol=1e-6)


def moments_law(answer, given):
    p = given["log_p"].keywords
    close(
        answer[0],
        divergences.kl_normal(given["mean"], given["std"], p["mean"], p["std"]),
        atol=1e-8,
    )


def plane_law(fit, given):
    target = given["log_p"].keywords
    close(fit.mean, target["mean"], atol=1e-4)
    close(fit.cov, target["cov"], rtol=1e-3, atol=1e-4)


def non_negative(kl, given):
    assert (np.asarray(kl) >= 0).all()


def quad_law(kl, given):
    q, p = given["log_q"].keywords, given["log_p"].keywords
    close(kl, divergences.kl_normal(q["mean"], q["std"], p["mean"], p["std"]), atol=1e-7)


recipe(
    "gaussian_fits.fit_gaussian",
    lambda r: dict(
        log_p=r.normal(),
        init_mean=r.real(),
        init_std=r.size(),
        direction="exclusive",
        max_iter=100,
        tol=1e-8,
    ),
    gaussian_law,
)
recipe(
    "gaussian_fits.all_minima",
    lambda r: dict(log_p=r.normal(), init_means=r.real(2), init_stds=r.size(2), tol=1e-4),
    lambda found, given: gaussian_law(found[0][0], given),
)
recipe(
    "gaussian_fits.exclusive_derivatives",
    lambda r: dict(log_p=r.normal(), mean=r.real(), std=r.size()),
    moments_law,
)
recipe(
    "gaussian_fits.fit_gaussian_plane",
    lambda r: dict(
        log_p=r.plane(), init_mean=r.real(2), init_cov=r.cov(2), diagonal=False, max_iter=100
    ),
    plane_law,
)
recipe(
    "divergences.kl_normal",
    lambda r: dict(mean_q=r.real(3), std_q=r.size(3), mean_p=r.real(), std_p=r.size()),
    non_negative,
)
recipe(
    "divergences.kl_mvn",
    lambda r: dict(mean_q=r.real(3), cov_q=r.cov(3), mean_p=r.real(3), cov_p=r.cov(3)),
    non_negative,
)
recipe("divergences.kl_categorical", lambda r: dict(q=r.probs(2, 4), p=r.probs(2, 4)), non_negative)
recipe(
    "divergences.kl_bernoulli",
    lambda r: dict(q=r.rng.uniform(size=3), p=r.rng.uniform(size=3)),
    non_negative,
)
recipe(
    "divergences.kl_quad",
    lambda r: dict(log_q=r.normal(), log_p=r.normal(), low=-30.0, high=30.0, num=4001),
    quad_law,
)
recipe(
    "divergences.kl_mc",
    lambda r: dict(log_q=r.normal(), log_p=r.normal(), samples=r.real(50)),
    lambda pair, given: non_negative(pair[1], given),
)
recipe(
    "divergences.mean_and_error",
    lambda r: dict(values=r.real(9)),
    lambda pair, given: close(pair[1], stats.sem(given["values"])),
)


def quantile(shift):
    return lambda u: stats.norm.ppf(u) + shift


recipe(
    "divergences.wasserstein",
    lambda r: dict(quantile_q=quantile(1.0), quantile_p=quantile(3.0), order=1),
    lambda distance, given: close(distance, 2),
)

# elbo

recipe(
    "elbo.DiagonalNormal",
    lambda r: dict(mean=r.real(3), log_std=r.real(3)),
    lambda q, given: close(q.entropy(), stats.multivariate_normal(cov=np.diag(q.std**2)).entropy()),
)
recipe(
    "elbo.elbo_enumerated",
    lambda r: dict(log_joint_table=r.real(4), q=r.probs(4)),
    lambda bound, given: non_negative(logsumexp(given["log_joint_table"]) - bound + 1e-12, given),
)
recipe(
    "elbo.grid_weights",
    lambda r: dict(grid=np.cumsum(r.size(6))),
    lambda w, given: close(w.sum(), np.ptp(given["grid"])),
)


def column_normal(z):
    return densities.normal_logpdf(z[:, 0])


recipe(
    "elbo.elbo_grid",
    lambda r: dict(log_joint=column_normal, q=r.q(), grid=np.linspace(-40, 40, 4001)),
    lambda bound, given: non_negative(-bound + 1e-9, given),
)


def forms_law(forms, given):
    close(np.ptp(list(forms.values())), 0)


recipe(
    "elbo.elbo_forms",
    lambda r: dict(
        log_prior=np.log(r.probs(4)), log_likelihood=r.real(4), log_q=np.log(r.probs(4))
    ),
    forms_law,
)
MC = lambda r: dict(log_joint=log_joint_numpy, q=r.q(2), num_samples=30, rng=r.rng)  # noqa: E731
recipe("elbo.elbo_mc", MC, lambda pair, given: non_negative(pair[1], given))
recipe(
    "elbo.importance_bound",
    lambda r: {**MC(r), "num_repeats": 4},
    lambda pair, given: non_negative(pair[1], given),
)
recipe(
    "elbo.ConjugateNormal",
    lambda r: dict(x=r.real(4), noise_std=r.size(), prior_mean=r.real(), prior_std=r.size()),
    lambda model, given: close(model.elbo(model.posterior()), model.log_evidence()),
)

# laplace, logistic, ppca


def laplace_law(fit, given):
    close(fit.mean, 1)
    close(fit.log_evidence, 0.5 * len(fit.mean) * densities.LOG_2PI)


recipe(
    "laplace.laplace_approximation",
    lambda r: dict(log_joint=log_joint_numpy, x0=r.real(2)),
    laplace_law,
)


def labels(r, **more):
    return dict(X=r.X, y=np.array([0.0, 1.0] * r.n)[: r.n], prior_std=r.size(), **more)


def bound_law(value, given):
    """log p(y | X) <= 0: labels are discrete."""
    assert value <= 0


recipe("logistic.GaussianPosterior", lambda r: dict(mean=r.real(2), cov=r.cov(2)))
recipe(
    "logistic.log_joint",
    labels,
    lambda log_p, given: bound_law(
        log_p(np.zeros((1, given["X"].shape[1])))[0] + 10 * np.log(given["prior_std"]) - 50, given
    ),
)
recipe("logistic.elbo", lambda r: labels(r, mean=r.real(r.d), cov=r.cov(r.d)), bound_law)
recipe(
    "logistic.expected_derivatives",
    lambda r: labels(r, mean=r.real(r.d), cov=r.cov(r.d)),
    lambda pair, given: np.linalg.cholesky(pair[1]),
)
recipe(
    "logistic.update_q",
    lambda r: labels(r, mean=r.real(r.d), cov=r.cov(r.d), factorised=False, step=0.5),
    lambda pair, given: np.linalg.cholesky(pair[1]),
)
recipe(
    "logistic.fit_gaussian",
    lambda r: labels(r, factorised=False, max_iter=100, tol=1e-6),
    lambda fit, given: climbs(fit, 0),
)
recipe(
    "logistic.predict",
    lambda r: dict(X=r.X, mean=r.real(r.d), cov=r.cov(r.d)),
    lambda p, given: non_negative(p * (1 - p), given),
)


def ppca_params(r):
    return ppca.PPCAParams(r.real(r.d, 1), r.real(r.d), r.size())


recipe("ppca.PPCAParams", lambda r: dict(weights=r.real(3, 2), bias=r.real(3), noise_var=r.size()))
recipe("ppca.log_evidence_per_point", lambda r: dict(X=r.X, params=ppca_params(r)))
recipe(
    "ppca.posterior",
    lambda r: dict(X=r.X, params=ppca_params(r)),
    lambda pair, given: non_negative(1 - pair[1], given),
)


def ppca_law(params, given):
    best = ppca.log_evidence_per_point(given["X"], params).sum()
    other = ppca.PPCAParams(1.1 * params.weights, params.bias, params.noise_var)
    assert best >= ppca.log_evidence_per_point(given["X"], other).sum()


recipe("ppca.fit_ppca", lambda r: dict(X=r.X, latent_dim=1), ppca_law)

# mean field


def unit_q(r):
    return mean_field.UnitMixtureQ(r.real(2), r.size(2), r.probs(5, 2))


recipe("mean_field.GaussianQ", lambda r: dict(mean=r.real(3), cov=r.cov(3)))
recipe(
    "mean_field.UnitMixtureQ", lambda r: dict(means=r.real(2), stds=r.size(2), resp=r.probs(5, 2))
)
recipe(
    "mean_field.update_q_block",
    lambda r: dict(q_mean=r.real(3), block=[0, 2], mean=r.real(3), precision=r.cov(3)),
    lambda mean, given: close(mean[1], given["q_mean"][1]),
)
recipe(
    "mean_field.factorised_cov",
    lambda r: dict(precision=r.cov(3), blocks=[[0], [1], [2]]),
    lambda cov, given: close(np.diag(cov), 1 / np.diag(given["precision"])),
)
recipe(
    "mean_field.fit_gaussian_target",
    lambda r: dict(
        mean=r.real(3),
        cov=r.cov(3),
        init_mean=r.real(3),
        blocks=[[0, 1], [2]],
        max_iter=100,
        tol=1e-8,
    ),
    lambda fit, given: climbs(fit, 0),
)
recipe(
    "mean_field.update_q_assignments",
    lambda r: dict(x=r.real(5), means=r.real(2), stds=r.size(2)),
    lambda resp, given: distribution(resp),
)
recipe(
    "mean_field.update_q_means",
    lambda r: dict(x=r.real(5), resp=r.probs(5, 2), prior_std=r.size()),
    lambda pair, given: non_negative(given["prior_std"] - pair[1], given),
)


def below_evidence(bound, given):
    assert (
        bound
        <= mean_field.unit_mixture_log_evidence(given["x"], 2, prior_std=given["prior_std"]) + 1e-9
    )


recipe(
    "mean_field.elbo", lambda r: dict(x=r.real(5), q=unit_q(r), prior_std=r.size()), below_evidence
)
recipe(
    "mean_field.fit_unit_mixture",
    lambda r: dict(
        x=r.real(5),
        num_components=2,
        prior_std=r.size(),
        init=r.real(2),
        rng=r.rng,
        max_iter=100,
        tol=1e-6,
    ),
    lambda fit, given: below_evidence(fit.elbo, given),
)
recipe(
    "mean_field.exact_posterior",
    lambda r: dict(x=r.real(5), num_components=2, prior_std=r.size()),
    lambda post, given: distribution(post.probs),
)
recipe(
    "mean_field.unit_mixture_log_evidence",
    lambda r: dict(x=r.real(5), num_components=2, prior_std=r.size()),
    lambda value, given: bound_law(value - 0, given),
)

# ising


def spins(r):
    return r.rng.choice([-1.0, 1.0], 5)


def means_of(r):
    return r.rng.uniform(-0.9, 0.9, 5)


def below_log_z(bound, given):
    assert bound <= ising.log_partition(given["model"]) + 1e-9


def marginals_law(pair, given):
    log_z, q = pair
    close(log_z, ising.elbo(given["model"], q))


def some_q(r, model):
    return dict(model=model, q=ising.independent(model, r.rng.uniform(-0.9, 0.9, model.num_sites)))


def exact_law(q, given):
    close(ising.elbo(given["model"], q), ising.log_partition(given["model"]))


recipe(
    "ising.IsingModel",
    lambda r: dict(edges=np.array([(0, 1), (1, 2)]), couplings=r.real(2), fields=r.real(3)),
)
recipe("ising.grid", lambda r: dict(height=2, width=3, coupling=r.real(), field=r.real()))
recipe("ising.log_partition", lambda r: dict(model=r.graph()))
recipe("ising.exact_marginals", lambda r: dict(model=r.graph()), exact_law)
recipe("ising.enumerate_states", lambda r: dict(model=r.graph()), marginals_law)
recipe("ising.transfer_matrix", lambda r: dict(model=r.grid()), marginals_law)
recipe(
    "ising.independent",
    lambda r: dict(model=r.graph(), magnetisations=means_of(r)),
    lambda q, given: below_log_z(ising.elbo(given["model"], q), given),
)
recipe("ising.energy", lambda r: some_q(r, r.graph()))
recipe("ising.elbo", lambda r: some_q(r, r.graph()), below_log_z)
recipe(
    "ising.update_sites",
    lambda r: dict(model=r.graph(), magnetisations=means_of(r), sites=np.array([1, 3])),
    lambda means, given: non_negative(1 - np.abs(means), given),
)
recipe(
    "ising.fit_mean_field",
    lambda r: dict(model=r.graph(), init=means_of(r), max_iter=100, tol=1e-6),
    lambda fit, given: (climbs(fit), below_log_z(fit.elbo, given)),
)
recipe(
    "ising.fit_chains",
    lambda r: dict(model=r.graph(), chains=[[2, 3, 4]], init=means_of(r), max_iter=100, tol=1e-6),
    lambda fit, given: (climbs(fit), below_log_z(fit.elbo, given)),
)
recipe(
    "ising.fit_belief_propagation",
    lambda r: dict(
        model=r.graph(),
        edge_weights=r.rng.uniform(0.5, 1, 5),
        damping=0.5,
        init=r.real(2, 5),
        max_iter=100,
        tol=1e-6,
    ),
)
recipe(
    "ising.gibbs_sweep",
    lambda r: dict(model=r.graph(), x=spins(r), rng=r.rng),
    lambda x, given: close(np.abs(x), 1),
)
recipe(
    "ising.message",
    lambda r: dict(coupling=r.real(3), field=r.real(3)),
    lambda u, given: close(np.tanh(u), np.tanh(given["coupling"]) * np.tanh(given["field"])),
)
recipe(
    "ising.cavity_fields",
    lambda r: dict(model=r.graph(), messages=r.real(2, 5), edge_weights=r.rng.uniform(0.5, 1, 5)),
)
recipe(
    "ising.update_messages",
    lambda r: dict(model=r.graph(), messages=r.real(2, 5), edge_weights=0.8, damping=0.5),
    lambda u, given: non_negative(
        np.abs(given["model"].couplings) / 0.8 + np.abs(given["messages"]) - np.abs(u), given
    ),
)
recipe(
    "ising.beliefs",
    lambda r: dict(model=r.graph(), messages=r.real(2, 5), edge_weights=0.8),
    marginals_law,
)
recipe(
    "ising.spanning_tree_weights",
    lambda r: dict(model=r.graph()),
    lambda w, given: close(w.sum(), 4),
)

# diagnostics

recipe(
    "diagnostics.effective_sample_size",
    lambda r: dict(log_weights=r.real(30)),
    lambda size, given: non_negative((size - 1) * (30 - size), given),
)
recipe("diagnostics.pareto_k", lambda r: dict(log_weights=r.real(60)))
recipe(
    "diagnostics.calibrate",
    lambda r: dict(
        simulate=lambda rng: (rng.normal(size=2), None),
        posterior_draws=lambda data, rng: rng.normal(size=(9, 2)),
        num_simulations=5,
        rng=r.rng,
    ),
    lambda c, given: non_negative(c.ranks * (9 - c.ranks), given),
)

# torch families


def family_law(q, given):
    with torch.no_grad():
        assert torch.isfinite(q.log_prob(q.sample(5, torch.Generator().manual_seed(0)))).all()


recipe("stochastic_vi.DiagonalNormal", lambda r: dict(dim=3), family_law)
recipe("stochastic_vi.FullNormal", lambda r: dict(dim=3), family_law)
recipe(
    "stochastic_vi.MixtureNormal",
    lambda r: dict(dim=2, num_components=3, spread=1.5, generator=r.torch_rng()),
    family_law,
)
recipe(
    "stochastic_vi.CouplingFlow",
    lambda r: dict(dim=3, num_layers=2, hidden=4, generator=r.torch_rng()),
    family_law,
)


def rows_log_lik(z, rows):
    return -0.5 * (z[:, :1] - rows) ** 2


def minibatch_law(target, given):
    z = torch.zeros(3, 1)
    direct = given["log_prior"](z) + rows_log_lik(z, given["data"][0]).sum(1)
    close(target.full(z), direct, rtol=1e-5)


recipe(
    "stochastic_vi.Minibatch",
    lambda r: dict(
        log_prior=log_joint,
        log_likelihood=rows_log_lik,
        data=(torch.arange(6.0),),
        batch_size=2,
        generator=r.torch_rng(),
    ),
    minibatch_law,
)
recipe(
    "stochastic_vi.fit_stochastic",
    lambda r: dict(
        log_joint=log_joint,
        family=r.family(),
        num_steps=4,
        num_samples=3,
        lr=0.05,
        generator=r.torch_rng(),
        progress=False,
        estimator="stl",
        tol=0.0,
        window=2,
        decay=False,
        average=True,
    ),
    lambda fit, given: bound_law(fit.elbo - fit.elbo_error * 8 - 3 * densities.LOG_2PI, given),
    changes=("family",),
)
recipe(
    "stochastic_vi.surrogate",
    lambda r: dict(
        log_joint=log_joint,
        family=r.family(),
        num_samples=3,
        generator=r.torch_rng(),
        estimator="stl",
    ),
    lambda pair, given: close(pair[0].detach(), pair[1]),
    nan_passes=True,
)
recipe(
    "stochastic_vi.gradient_samples",
    lambda r: dict(
        log_joint=log_joint,
        family=r.family(),
        num_repeats=3,
        num_samples=2,
        generator=r.torch_rng(),
        estimator="reparam",
    ),
)
recipe(
    "stochastic_vi.log_weights",
    lambda r: dict(log_joint=log_joint, family=r.family(), num_samples=7, generator=r.torch_rng()),
)

# mixtures

recipe(
    "mixture_em.GMMParams", lambda r: dict(weights=r.probs(3), means=r.real(3, 2), covs=r.cov(3, 2))
)
recipe(
    "mixture_em.spread_points",
    lambda r: dict(X=r.X, num_points=3, rng=r.rng),
    lambda rows, given: distribution(np.unique(rows, return_counts=True)[1] / 3),
)
recipe("mixture_em.init_params", lambda r: dict(X=r.X, num_components=2, rng=r.rng))
recipe(
    "mixture_em.e_step",
    lambda r: dict(X=r.X, params=r.gmm()),
    lambda pair, given: distribution(np.exp(pair[0])),
)
recipe(
    "mixture_em.m_step",
    lambda r: dict(X=r.X, log_resp=np.log(r.probs(r.n, 2)), reg=0.1),
    lambda params, given: distribution(params.weights),
)
recipe("mixture_em.fit_em", lambda r: dict(X=r.X, init=r.gmm(), max_iter=40, tol=1e-3, reg=0.5))

recipe(
    "mixture_vb.Prior",
    lambda r: dict(alpha0=r.size(), beta0=r.size(), m0=r.real(2), W0=r.cov(2), nu0=2 + r.size()),
)
recipe(
    "mixture_vb.VBParams",
    lambda r: dict(
        alpha=r.size(3), beta=r.size(3), m=r.real(3, 2), W=r.cov(3, 2), nu=2 + r.size(3)
    ),
)
recipe("mixture_vb.default_prior", lambda r: dict(X=r.X, alpha0=r.size()))
recipe(
    "mixture_vb.init_resp",
    lambda r: dict(X=r.X, num_components=2, rng=r.rng),
    lambda resp, given: distribution(resp),
)
recipe(
    "mixture_vb.e_step",
    lambda r: dict(X=r.X, params=r.vb()),
    lambda pair, given: distribution(np.exp(pair[0])),
)
recipe(
    "mixture_vb.m_step",
    lambda r: dict(X=r.X, prior=r.prior(), log_resp=np.log(r.probs(r.n, 2))),
    lambda q, given: close((q.nu - given["prior"].nu0).sum(), len(given["X"])),
)
recipe("mixture_vb.kl_to_prior", lambda r: dict(params=r.vb(), prior=r.prior()), non_negative)
recipe(
    "mixture_vb.elbo",
    lambda r: dict(X=r.X, prior=r.prior(), log_resp=np.log(r.probs(r.n, r.k)), params=r.vb()),
)
recipe(
    "mixture_vb.fit_vb",
    lambda r: dict(
        X=r.X,
        num_components=r.k,
        prior=r.prior(),
        init=r.probs(r.n, r.k),
        max_iter=100,
        tol=1e-4,
        rng=r.rng,
    ),
    lambda fit, given: climbs(fit),
)
recipe(
    "mixture_vb.expected_mixture",
    lambda r: dict(params=r.vb()),
    lambda params, given: distribution(params.weights),
)
recipe("mixture_vb.log_predictive", lambda r: dict(X_new=r.X, params=r.vb()))
recipe("mixture_vb.log_evidence_one_component", lambda r: dict(X=r.X, prior=r.prior()))
recipe(
    "mixture_vb.log_norm_dirichlet",
    lambda r: dict(alpha=r.size(3)),
    lambda log_norm, given: close(
        log_norm,
        stats.dirichlet.logpdf([0.2, 0.3, 0.5], given["alpha"])
        - (given["alpha"] - 1) @ np.log([0.2, 0.3, 0.5]),
    ),
)

# latent features


def factor_law(bound, given):
    assert bound <= latent_features.log_evidence(given["X"], given["params"]) + 1e-8


def posterior_law(q, given):
    factor_law(latent_features.elbo(given["X"], given["params"], q), given)


FACTORS = lambda r: dict(X=r.X, params=r.factors())  # noqa: E731
recipe(
    "latent_features.LatentParams",
    lambda r: dict(pi=0.8 * r.probs(2), weights=r.real(3, 2), bias=r.real(3), noise_var=r.size()),
)
recipe(
    "latent_features.Posterior",
    lambda r: dict(mean=r.real(4, 2), second=r.real(4, 2, 2), entropy=r.real(4)),
)
recipe(
    "latent_features.all_states",
    lambda r: dict(num_factors=3),
    lambda states, given: close(states.mean(), 0.5),
)
recipe(
    "latent_features.log_joint_table",
    lambda r: {**FACTORS(r), "states": latent_features.all_states(r.k)},
    lambda table, given: close(
        logsumexp(table, axis=1).sum(), latent_features.log_evidence(given["X"], given["params"])
    ),
)
recipe("latent_features.log_evidence", FACTORS)
recipe(
    "latent_features.e_step_exact",
    lambda r: {**FACTORS(r), "previous": None},
    posterior_law,
    trusted=("previous",),
)
recipe(
    "latent_features.e_step_hard",
    lambda r: {**FACTORS(r), "previous": None},
    posterior_law,
    trusted=("previous",),
)
recipe(
    "latent_features.e_step_mean_field",
    lambda r: {**FACTORS(r), "previous": r.factor_q(), "sweeps": 3},
    posterior_law,
)
recipe(
    "latent_features.update_factor",
    lambda r: {**FACTORS(r), "mean": r.rng.uniform(size=(r.n, r.k)), "k": 1},
    lambda mean, given: non_negative(mean * (1 - mean), given),
)
recipe("latent_features.factorised", lambda r: dict(mean=r.rng.uniform(size=(4, 2))))
recipe("latent_features.elbo", lambda r: {**FACTORS(r), "q": r.factor_q()}, factor_law)
recipe(
    "latent_features.m_step",
    lambda r: dict(X=r.X, q=r.factor_q(), learn_bias=True, min_noise_var=1e-4),
    lambda params, given: climbs(
        latent_features.fit_em(
            given["X"], params, learn_bias=True, min_noise_var=1e-4, max_iter=5, tol=0
        )
    ),
)
recipe("latent_features.init_params", lambda r: dict(X=r.X, num_factors=2, rng=r.rng))
recipe(
    "latent_features.fit_em",
    lambda r: dict(
        X=r.X,
        init=r.factors(),
        e_step="mean_field",
        learn_bias=True,
        min_noise_var=1e-4,
        max_iter=40,
        tol=1e-3,
    ),
    lambda fit, given: climbs(fit),
)

# vae

PIXELS = lambda r: dict(model=r.vae(), x=r.black_and_white(), generator=r.torch_rng())  # noqa: E731
not_above_zero = lambda value, given: bound_law(float(value.detach().max()), given)  # noqa: E731
recipe(
    "vae.VAE",
    lambda r: dict(
        latent_dim=2,
        hidden_dims=(3,),
        likelihood="gaussian",
        image_shape=(2, 2),
        conv=False,
        residual=False,
        noise_std=r.size(),
        generator=r.torch_rng(),
    ),
)
recipe(
    "vae.as_images",
    lambda r: dict(model=r.vae(), x=r.black_and_white(), name="x"),
    trusted=("name",),
)
recipe("vae.default_device", lambda r: {})
recipe("vae.elbo_terms", PIXELS, lambda pair, given: not_above_zero(pair[0] - pair[1], given))
recipe(
    "vae.elbo_terms_batched", PIXELS, lambda pair, given: not_above_zero(pair[0] - pair[1], given)
)
recipe(
    "vae.kl_to_prior",
    lambda r: dict(mean=torch.tensor(r.real(4, 2)), log_std=torch.tensor(r.real(4, 2))),
    lambda kl, given: non_negative(kl.numpy(), given),
    nan_passes=True,
)
recipe("vae.log_weights", lambda r: {**PIXELS(r), "num_samples": 3})
recipe("vae.log_evidence_is", lambda r: {**PIXELS(r), "num_samples": 3}, not_above_zero)
recipe(
    "vae.train_vae",
    lambda r: dict(
        model=r.vae(),
        images=r.black_and_white(),
        epochs=1,
        batch_size=2,
        lr=0.01,
        generator=r.torch_rng(),
        progress=False,
        beta=1.0,
        test_images=r.black_and_white(),
        device="cpu",
    ),
    lambda fit, given: bound_law(fit.elbos.max(), given),
    changes=("model",),
)
recipe(
    "vae.train_side_by_side",
    lambda r: dict(
        models=[r.vae(), r.vae()],
        images=r.black_and_white(),
        epochs=1,
        batch_size=2,
        lr=0.01,
        generators=[r.torch_rng(), r.torch_rng()],
        betas=[1.0, 0.5],
        device="cpu",
    ),
    lambda fits, given: bound_law(fits[0].elbos.max(), given),
    changes=("models",),
)


def small_stack(r, **rest):
    return dict(layers=small_networks.random_layers((2, 3, 2), 2, r.torch_rng()), **rest)


recipe(
    "small_networks.random_layers",
    lambda r: dict(sizes=[2, 3, 2], count=2, generator=r.torch_rng()),
    lambda layers, given: np.testing.assert_equal(len(layers), len(given["sizes"]) - 1),
)
recipe(
    "small_networks.outputs",
    lambda r: small_stack(r, x=torch.tensor(r.real(2, 4, 2), dtype=torch.float)),
    lambda out, given: np.testing.assert_equal(tuple(out.shape), (2, 4, 2)),
)
recipe(
    "small_networks.train",
    lambda r: small_stack(
        r, draw=lambda: (torch.ones(2, 4, 2),), slopes=lambda out, x: out - x, steps=2, lr=0.1
    ),
    lambda layers, given: np.testing.assert_equal(tuple(layers[0][0].shape), (2, 2, 3)),
    errors=(ValueError, TypeError, FloatingPointError),
)


def per_image(r, *lead):
    mean, log_std = (torch.tensor(0.3 * r.real(*lead, 3, 2)) for _ in range(2))
    prior = torch.zeros(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    return dict(log_lik=unit_log_lik, prior=prior, generator=r.torch_rng()), mean, log_std


def unit_log_lik(z):
    return -0.5 * ((z - 1) ** 2).sum(-1)


def with_q(r, *lead, **more):
    options, mean, log_std = per_image(r, *lead)
    return {**options, "q": vae.normal_q(mean, log_std), **more}


def with_start(r, **more):
    options, mean, log_std = per_image(r)
    return {**options, "start": (mean, log_std), **more}


recipe(
    "vae.normal_q",
    lambda r: dict(mean=torch.tensor(r.real(3, 2)), log_std=torch.tensor(r.real(3, 2))),
    lambda q, given: close(q[1].diagonal(dim1=-2, dim2=-1).log(), given["log_std"]),
    says={"mean": "mean, log_std", "log_std": "log_std"},
)
recipe("vae.elbo_of_q", lambda r: with_q(r, num_samples=4), not_above_zero)
recipe(
    "vae.refine_q",
    lambda r: with_start(r, full=True, num_steps=3, lr=0.05, num_pairs=1),
    lambda q, given: non_negative(q[1].diagonal(dim1=-2, dim2=-1).numpy(), given),
)
recipe(
    "vae.laplace_q",
    lambda r: (
        {k: v for k, v in per_image(r)[0].items() if k != "generator"} | {"mean": per_image(r)[1]}
    ),
    lambda q, given: non_negative(q[1].diagonal(dim1=-2, dim2=-1).numpy(), given),
)
recipe(
    "vae.log_integral",
    lambda r: with_q(r, 2, num_samples=9, widen=1.2),
    lambda pair, given: bound_law(float((pair[1] - 9).max()) - 1e-9, given),
)


def checkpoint(r, folder):
    path = folder / "model.pt"
    vae.save_checkpoint(r.vae(), path)
    return dict(model=r.vae(), path=path)


recipe("vae.save_checkpoint", lambda r: dict(model=r.vae(), path=r.folder / "model.pt"))
recipe("vae.load_checkpoint", lambda r: checkpoint(r, r.folder), changes=("model",))

# data


def images_law(pair, given):
    assert pair[0].dtype == np.uint8 and len(pair[0]) == len(pair[1])


def grey(r):
    return r.rng.integers(0, 256, (3, 4, 4), dtype=np.uint8)


recipe(
    "datasets.load_mnist",
    lambda r: dict(split="test", data_dir=r.folder),
    images_law,
    errors=(ValueError, TypeError, datasets.DataUnavailableError),
    may_fail=True,
)
recipe("datasets.mnist_at_hand", lambda r: dict(data_dir=r.folder))
recipe("datasets.load_digits", lambda r: dict(split="test"), images_law)
recipe(
    "datasets.binarize",
    lambda r: dict(images=grey(r), threshold=100),
    lambda ink, given: close(ink, given["images"] >= 100),
)
recipe(
    "datasets.make_gaussian_mixture",
    lambda r: dict(
        num_points=6, weights=r.probs(2), means=r.real(2, 3), covs=r.cov(2, 3), rng=r.rng
    ),
)
recipe(
    "datasets.make_bars", lambda r: dict(num_images=3, size=4, rng=r.rng, prob=0.4, noise_std=0.2)
)

# drawing


def axes():
    return plt.figure().add_subplot()


recipe("plotting.line_style", lambda r: dict(index=9))
recipe("plotting.new_axes", lambda r: dict(ax=axes(), figsize=(3, 3)), changes=("ax",))
recipe(
    "plotting.plot_densities",
    lambda r: dict(
        log_densities={"p": r.normal()}, low=-3.0, high=3.0, ax=axes(), num=11, fill_first=True
    ),
    changes=("ax",),
)
recipe(
    "plotting.plot_contours",
    lambda r: dict(
        log_p=r.plane(), xlim=(-3, 3), ylim=(-2, 2), ax=axes(), levels=(0.5, 2.0), num=11
    ),
    changes=("ax",),
)
recipe(
    "plotting.plot_ellipse",
    lambda r: dict(mean=r.real(2), cov=r.cov(2), ax=axes(), radii=(1, 2), label="q"),
    changes=("ax",),
    trusted=("label",),
)
recipe(
    "plotting.plot_images",
    lambda r: dict(images=r.rng.uniform(size=(3, 4, 5)), ncols=2, ax=axes(), title="x", vmax=1.0),
    changes=("ax",),
    trusted=("title",),
)
recipe(
    "plotting.plot_mixture",
    lambda r: dict(
        X=r.real(6, 2),
        resp=r.probs(6, 3),
        means=r.real(3, 2),
        covs=r.cov(3, 2),
        ax=axes(),
        radii=(1, 2),
        size=14,
    ),
    changes=("ax",),
)
recipe(
    "widgets.picture",
    lambda r: dict(
        draw=lambda a, ax: ax.plot([a, 1]), values={"a": 2}, figsize=(2, 2), ncols=1, like=None
    ),
    changes=("values",),
)
recipe("widgets.png", lambda r: dict(figure=axes().figure), changes=("figure",))
recipe(
    "widgets.explore",
    lambda r: dict(draw=lambda a, ax: ax.plot([a, 1]), figsize=(2, 2), ncols=1, a=(0, 5, 1, 2)),
)

# exercises: whatever comes, an AssertionError tells the student

TELL = {
    "errors": (AssertionError, ValueError, TypeError),
    "says": {"value": "the answer", "answer": "Exercise 1.1"},
}


def check_two(answer):
    assert answer == 2, "wrong"


recipe(
    "exercises.try_answer",
    lambda r: dict(label="1.1", check=check_two, answer=2),
    trusted=("label",),
    **TELL,
)
recipe(
    "exercises.as_numbers",
    lambda r: dict(value=r.real(3), what="the answer"),
    lambda numbers, given: close(numbers, given["value"]),
    trusted=("what",),
    **TELL,
)
recipe(
    "exercises.as_probabilities",
    lambda r: dict(value=r.probs(3), what="the answer"),
    lambda p, given: distribution(p),
    trusted=("what",),
    **TELL,
)
recipe(
    "exercises.assert_close",
    lambda r: dict(
        value=np.ones(3), expected=np.ones(3), what="the answer", rtol=1e-6, atol=1e-9, hint=""
    ),
    trusted=("what", "expected", "rtol", "atol", "hint"),
    **TELL,
)
recipe("exercises.describe", lambda r: dict(value=r.real(3)), trusted=("value",))

recipe("environment.check_packages", lambda r: {})
recipe("environment.check_torch", lambda r: {})
recipe(
    "environment.verdict",
    lambda r: dict(rows=[("numpy", "1.0", ">=2", False)]),
    lambda text, given: text.index("numpy"),
)

# The dataclasses of parameters, which check themselves when made.
FROZEN = {
    "elbo.ConjugateNormal": elbo.ConjugateNormal,
    "latent_features.LatentParams": latent_features.LatentParams,
    "latent_features.Posterior": latent_features.Posterior,
    "logistic.GaussianPosterior": logistic.GaussianPosterior,
    "mean_field.GaussianQ": mean_field.GaussianQ,
    "mean_field.UnitMixtureQ": mean_field.UnitMixtureQ,
    "mixture_em.GMMParams": mixture_em.GMMParams,
    "mixture_vb.Prior": mixture_vb.Prior,
    "mixture_vb.VBParams": mixture_vb.VBParams,
    "ppca.PPCAParams": ppca.PPCAParams,
}
