"""Variational autoencoders (torch): model, bounds, a q for each image, training, checkpoints.

The model of Kingma and Welling (2014): z ~ N(0, I), x | z from the decoder, and an encoder that
gives q(z | x) = N(mean, diag(std^2)). Everything is in nats, summed over the pixels, with every
constant kept, so an ELBO can be compared with log p(x). The names below are all there is to use.
"""

from vi_helpers.vae._inputs import LIKELIHOODS, as_images, default_device
from vi_helpers.vae.bounds import (
    elbo_terms,
    elbo_terms_batched,
    kl_to_prior,
    log_evidence_is,
    log_weights,
)
from vi_helpers.vae.model import VAE
from vi_helpers.vae.per_image import elbo_of_q, laplace_q, log_integral, normal_q, refine_q
from vi_helpers.vae.side_by_side import train_side_by_side
from vi_helpers.vae.training import TrainResult, load_checkpoint, save_checkpoint, train_vae

__all__ = [
    "LIKELIHOODS",
    "VAE",
    "TrainResult",
    "as_images",
    "default_device",
    "elbo_of_q",
    "elbo_terms",
    "elbo_terms_batched",
    "kl_to_prior",
    "laplace_q",
    "load_checkpoint",
    "log_evidence_is",
    "log_integral",
    "log_weights",
    "normal_q",
    "refine_q",
    "save_checkpoint",
    "train_side_by_side",
    "train_vae",
]
