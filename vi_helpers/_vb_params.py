"""Engine of mixture_vb: the parameters of the prior and of q, which check themselves when made."""

from dataclasses import dataclass

import numpy as np

from vi_helpers import validation


@dataclass(frozen=True)
class Prior:
    """Dir(alpha0) on the weights, Normal-Wishart(m0, beta0, W0, nu0) on each component.

    alpha0 : positive number, the concentration of each component
    beta0  : positive number, how many points the prior mean is worth
    m0     : (D,) prior mean
    W0     : (D, D) scale matrix; the prior expects the precision nu0 * W0
    nu0    : degrees of freedom, > D - 1
    """

    alpha0: float
    beta0: float
    m0: np.ndarray
    W0: np.ndarray
    nu0: float

    def __post_init__(self):
        alpha0 = validation.positive_number("alpha0", self.alpha0)
        beta0 = validation.positive_number("beta0", self.beta0)
        m0, W0 = validation.normal("m0", self.m0, "W0", self.W0)
        nu0 = validation.number("nu0", self.nu0)
        if nu0 <= m0.size - 1:
            raise ValueError(f"nu0 must exceed D - 1 = {m0.size - 1}, got {nu0:g}")
        vars(self).update(alpha0=alpha0, beta0=beta0, m0=m0, W0=W0, nu0=nu0)


@dataclass(frozen=True)
class VBParams:
    """The factor Dir(alpha) prod_k N(mu_k; m_k, (beta_k Lambda_k)^-1) Wishart(Lambda_k; W_k, nu_k).

    alpha, beta > 0, nu > D - 1 : (K,);  m : (K, D);  W : (K, D, D), positive definite
    Raises ValueError for anything else.
    """

    alpha: np.ndarray
    beta: np.ndarray
    m: np.ndarray
    W: np.ndarray
    nu: np.ndarray

    def __post_init__(self):
        alpha = validation.positive("alpha", self.alpha, ndim=1)
        beta = validation.positive("beta", self.beta, shape=alpha.shape)
        m = validation.finite("m", self.m, shape=(*alpha.shape, None))
        W = validation.covariance("W", self.W, shape=(*m.shape, m.shape[1]))
        nu = validation.finite("nu", self.nu, shape=alpha.shape)
        if (nu <= m.shape[1] - 1).any():
            raise ValueError(f"nu must exceed D - 1 = {m.shape[1] - 1}, got {nu.min():g}")
        vars(self).update(alpha=alpha, beta=beta, m=m, W=W, nu=nu)


def check_params(params):
    """params, or ValueError unless it is a VBParams."""
    return validation.instance("params", params, VBParams)


def check_prior(prior, dim=None):
    """prior, or ValueError unless it is a Prior, and of this dimension."""
    validation.instance("prior", prior, Prior)
    if dim not in (None, prior.m0.size):
        raise ValueError(f"prior must have dimension {dim}, got {prior.m0.size}")
    return prior
