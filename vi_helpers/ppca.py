"""Probabilistic PCA in closed form: z ~ N(0, I), x | z ~ N(W z + bias, noise_var I).

A linear Gaussian decoder is this model, so everything that a variational autoencoder estimates
is known here: log p(x), p(z | x) and the maximum likelihood solution.
Source: Tipping and Bishop 1999.
"""

from dataclasses import dataclass

import numpy as np

from vi_helpers import validation
from vi_helpers.densities import mvn_logpdf


@dataclass(frozen=True)
class PPCAParams:
    """theta: weights W (D, K), bias (D,), noise_var > 0. Raises ValueError for anything else."""

    weights: np.ndarray
    bias: np.ndarray
    noise_var: float

    def __post_init__(self):
        weights = validation.data("weights", self.weights)
        bias = validation.finite("bias", self.bias, shape=(len(weights),))
        noise_var = validation.positive_number("noise_var", self.noise_var)
        vars(self).update(weights=weights, bias=bias, noise_var=noise_var)


def log_evidence_per_point(X, params):
    """log p(x_n) of each point, (N,) in nats: x is normal with covariance W W^T + noise_var I.

    X : (N, D).  Raises ValueError for another D, NaN or infinite values.
    """
    validation.instance("params", params, PPCAParams)
    X = validation.data("X", X, dim=len(params.bias))
    cov = params.weights @ params.weights.T + params.noise_var * np.eye(len(params.bias))
    return mvn_logpdf(X, params.bias, cov)


def posterior(X, params):
    """p(z | x_n) as means (N, K) and the one covariance (K, K) that all points share.

    X : (N, D).  Raises ValueError for another D, NaN or infinite values.
    """
    validation.instance("params", params, PPCAParams)
    X = validation.data("X", X, dim=len(params.bias))
    scaled = params.weights / params.noise_var
    precision = scaled.T @ params.weights + np.eye(params.weights.shape[1])
    cov = np.linalg.inv(precision)
    return (X - params.bias) @ scaled @ cov, 0.5 * (cov + cov.T)


def fit_ppca(X, latent_dim):
    """The maximum likelihood PPCAParams for X (N, D), with 1 <= latent_dim < D.

    W spans the leading eigenvectors of the covariance and noise_var is the mean of the other
    eigenvalues. W R is as good for any rotation R; here the columns of W are orthogonal.
    Raises ValueError for bad input, or for data without variance outside the subspace.
    """
    X = validation.data("X", X)
    latent_dim = validation.integer("latent_dim", latent_dim)
    if latent_dim >= X.shape[1]:
        raise ValueError(f"latent_dim must be < D = {X.shape[1]}, got {latent_dim}")
    if len(X) < 2:
        raise ValueError(f"X must hold at least two points, got {len(X)}")
    bias = X.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(X.T, bias=True))
    values, vectors = values[::-1], vectors[:, ::-1]  # eigh sorts upwards
    noise_var = values[latent_dim:].mean()
    if noise_var <= 1e-12 * values[0] or values[0] <= 0:
        raise ValueError(f"X must vary outside {latent_dim} directions, got noise {noise_var:.3g}")
    scale = np.sqrt(np.maximum(values[:latent_dim] - noise_var, 0.0))
    return PPCAParams(vectors[:, :latent_dim] * scale, bias, noise_var)
