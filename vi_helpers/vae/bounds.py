"""Bounds on log p(x): the ELBO of one sample, many images, and importance sampling."""

import math

import torch

from vi_helpers import validation
from vi_helpers._seeding import or_seed_zero
from vi_helpers.vae._inputs import NUM_LEVELS, as_images, draw_noise

CHUNK_NUMBERS = 2**22  # decoder outputs held at once when no gradient is wanted (16 MB)


def kl_to_prior(mean, log_std):
    """KL(N(mean, std^2) || N(0, I)) over the last axis, in nats.

    mean, log_std : real tensors that broadcast. NaN and inf pass through, since training reports
    them itself; ValueError for anything else.
    Source: Kingma and Welling 2014, appendix B."""
    for name, value in (("mean", mean), ("log_std", log_std)):
        if not torch.is_tensor(value) or value.is_complex():
            raise ValueError(f"{name} must be a real tensor, got {type(value).__name__}")
    validation.broadcast(mean=mean, log_std=log_std)
    return 0.5 * (mean**2 + torch.exp(2 * log_std) - 1 - 2 * log_std).sum(-1)


def elbo_terms(model, x, generator=None):
    """One-sample reconstruction term and closed-form KL(q(z | x) || p(z)), each (B,) in nats.

    x : (B, *image_shape): values in [0, 1] (Bernoulli), grey levels 0..255 (categorical) or any
        finite numbers (Gaussian); array or tensor. elbo = recon - kl; for zeros and ones, and
        for the other two likelihoods, its mean over the noise is <= log p(x).
    Raises ValueError for a wrong shape or range, or NaN.
    """
    return sampled_terms(model, as_images(model, x), generator)


def sampled_terms(model, x, generator):
    mean, log_std = model.encode(x)
    z = mean + torch.exp(log_std) * draw_noise(mean.shape, mean, generator)
    return model.log_likelihood(x, model.decode(z)), kl_to_prior(mean, log_std)


@torch.no_grad()
def elbo_terms_batched(model, x, generator=None):
    """elbo_terms of many images in batches, without gradients (seed 0 when generator is None)."""
    generator = or_seed_zero(generator)
    batches = as_images(model, x).split(_images_at_once(model))
    terms = [sampled_terms(model, batch, generator) for batch in batches]
    return tuple(torch.cat(part) for part in zip(*terms, strict=True))


def _images_at_once(model):
    outputs = math.prod(model.image_shape) * (NUM_LEVELS if hasattr(model, "to_levels") else 1)
    return max(1, CHUNK_NUMBERS // outputs)


@torch.no_grad()
def log_weights(model, x, num_samples, generator=None):
    """log p(x, z_s) - log q(z_s | x) for num_samples draws z_s ~ q(z | x), (num_samples, B)."""
    num_samples = validation.integer("num_samples", num_samples)
    x = as_images(model, x)
    pairs = _images_at_once(model)  # (sample, image) pairs
    columns = []
    for images in x.split(max(1, pairs // num_samples)):
        mean, log_std = model.encode(images)
        rows = []
        for first in range(0, num_samples, pairs):
            count = min(pairs, num_samples - first)
            noise = draw_noise((count, *mean.shape), mean, generator)
            z = mean + torch.exp(log_std) * noise
            recon = model.log_likelihood(images, model.decode(z))
            # log p(z) - log q(z | x): the terms in log(2 pi) cancel
            rows.append(recon + (log_std + 0.5 * (noise**2 - z**2)).sum(-1))
        columns.append(torch.cat(rows))
    return torch.cat(columns, dim=1)


def log_evidence_is(model, x, num_samples, generator=None):
    """Importance-sampled log p(x), (B,) in nats: the log of the mean weight of num_samples draws.

    Its expectation is a lower bound that rises with num_samples, from the ELBO (one sample) to
    log p(x). Source: Burda, Grosse, Salakhutdinov 2016.
    """
    return log_weights(model, x, num_samples, generator).logsumexp(0) - math.log(num_samples)
