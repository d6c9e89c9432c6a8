"""Engine of latent_features: its parameters and its q, which check themselves when made."""

from dataclasses import dataclass

import numpy as np

from vi_helpers import validation


@dataclass(frozen=True)
class LatentParams:
    """theta: pi (K,) in (0, 1), weights W (D, K), bias b (D,), noise_var > 0 (one number).

    Raises ValueError for anything else.
    """

    pi: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    noise_var: float

    def __post_init__(self):
        pi = validation.positive("pi", validation.vector("pi", self.pi))
        if pi.max() >= 1:
            raise ValueError(f"pi must lie below 1, got {pi.max():g}")
        weights = validation.data("weights", self.weights, dim=len(pi))
        bias = validation.finite("bias", self.bias, shape=(len(weights),))
        noise_var = validation.positive_number("noise_var", self.noise_var)
        vars(self).update(pi=pi, weights=weights, bias=bias, noise_var=noise_var)


@dataclass(frozen=True)
class Posterior:
    """What the bound needs of q(z_n): mean (N, K), second E[z z^T] (N, K, K), entropy (N,) nats.

    Raises ValueError unless finite and of these shapes.
    """

    mean: np.ndarray
    second: np.ndarray
    entropy: np.ndarray

    def __post_init__(self):
        mean = validation.data("mean", self.mean)
        second = validation.finite("second", self.second, shape=(*mean.shape, mean.shape[1]))
        entropy = validation.finite("entropy", self.entropy, shape=(len(mean),))
        vars(self).update(mean=mean, second=second, entropy=entropy)
