"""Variational autoencoders: encoder, decoder, ELBO, training, importance-sampled log p(x).

The model of Kingma and Welling (2013): z ~ N(0, I), x | z from the decoder, and an encoder
that gives q(z | x) = N(mean, diag(std^2)). Everything is in nats, summed over the pixels,
with every constant kept, so an ELBO can be compared with log p(x).
"""

import math
import sys

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from tqdm import tqdm

from vi_helpers import vae_nets, validation
from vi_helpers.vae_nets import LIKELIHOODS, NUM_LEVELS, TrainResult, as_images
from vi_helpers.vae_nets import default_device as default_device
from vi_helpers.vae_nets import load_checkpoint as load_checkpoint
from vi_helpers.vae_nets import save_checkpoint as save_checkpoint

PIXEL_FEATURES = 8  # numbers per pixel from which a categorical decoder makes its logits
CHUNK_NUMBERS = 2**22  # decoder outputs held at once when no gradient is wanted (16 MB)


class VAE(nn.Module):
    """Encoder and decoder; parameters start from generator (seed 0 when None).

    hidden_dims : widths of the encoder's hidden layers, reversed in the decoder; () makes both
                  linear. With conv=True the channels of convolutions that each halve the image.
    likelihood  : "bernoulli" (pixel logits), "categorical" (256 grey levels), or "gaussian"
                  (one noise std for all pixels: learned, or fixed to noise_std)
    image_shape : (H, W), or (D,) for plain vectors
    Raises ValueError for a dimension below 1, an unknown likelihood, or an impossible shape.
    """

    def __init__(
        self, latent_dim, hidden_dims, likelihood="bernoulli", image_shape=(28, 28),
        *, conv=False, noise_std=None, generator=None,
    ):  # fmt: skip
        super().__init__()
        self.latent_dim = validation.integer("latent_dim", latent_dim)
        hidden = vae_nets.sizes("hidden_dims", hidden_dims)
        self.image_shape = tuple(vae_nets.sizes("image_shape", image_shape))
        self.likelihood = validation.one_of("likelihood", likelihood, LIKELIHOODS)
        self.architecture = {
            "latent_dim": self.latent_dim, "hidden_dims": hidden, "likelihood": likelihood,
            "image_shape": list(self.image_shape), "conv": bool(conv), "noise_std": noise_std,
        }  # fmt: skip
        features = PIXEL_FEATURES if likelihood == "categorical" else 1
        make = vae_nets.conv_pair if conv else vae_nets.dense_pair
        self.encoder, self.decoder = make(self.latent_dim, hidden, self.image_shape, features)
        if likelihood == "categorical":
            self.to_levels = nn.utils.skip_init(nn.Linear, features, NUM_LEVELS)
        if likelihood == "gaussian":
            start = 1.0 if noise_std is None else float(validation.positive("noise_std", noise_std))
            self.log_noise_std = nn.Parameter(torch.tensor(math.log(start)), noise_std is None)
        vae_nets.initialise(self, vae_nets.or_seed_zero(generator))

    @property
    def device(self):
        return next(self.parameters()).device

    def encode(self, x):
        """Return mean and log_std of q(z | x), each (B, latent_dim), for x (B, *image_shape)."""
        x = x / (NUM_LEVELS - 1) if self.likelihood == "categorical" else x
        return self.encoder(x).chunk(2, dim=-1)

    def decode(self, z):
        """Return the decoder's output for z (..., latent_dim).

        Bernoulli logits or Gaussian means (..., *image_shape); with a categorical decoder
        the logits of the grey levels (..., *image_shape, 256).
        """
        out = self.decoder(z.to(self.device).reshape(-1, self.latent_dim))
        shape = (*z.shape[:-1], *self.image_shape)
        if self.likelihood == "categorical":
            return self.to_levels(out.view(len(out), PIXEL_FEATURES, -1).mT).view(*shape, -1)
        return out.view(shape)

    def log_pixels(self, x, out):
        """Log-likelihood of each pixel, (..., *image_shape) in nats; out is decode's answer."""
        if self.likelihood == "categorical":
            levels = x.long().expand(out.shape[:-1]).flatten()
            loss = functional.cross_entropy(out.flatten(0, -2), levels, reduction="none")
            return -loss.view(out.shape[:-1])
        x = x.expand_as(out)
        if self.likelihood == "bernoulli":  # on logits: log of a sigmoid would underflow
            return -functional.binary_cross_entropy_with_logits(out, x, reduction="none")
        z_score = (x - out) * torch.exp(-self.log_noise_std)
        return -0.5 * z_score**2 - self.log_noise_std - 0.5 * math.log(2 * math.pi)

    def log_likelihood(self, x, out):
        """log p(x | z): log_pixels summed over the pixels, (...,)."""
        if self.likelihood == "bernoulli":  # the same sum in half the time
            x, logits = (values.flatten(-len(self.image_shape)) for values in (x, out))
            return vae_nets.BernoulliLogLikelihood.apply(x, logits)
        return self.log_pixels(x, out).flatten(-len(self.image_shape)).sum(-1)

    def mean_image(self, z):
        """E[x | z]: probabilities, grey levels in 0..255, or Gaussian means."""
        out = self.decode(z)
        if self.likelihood == "categorical":
            return out.softmax(-1) @ torch.arange(NUM_LEVELS, dtype=out.dtype, device=out.device)
        return out.sigmoid() if self.likelihood == "bernoulli" else out


def kl_to_prior(mean, log_std):
    """KL(N(mean, std^2) || N(0, I)) over the last axis, in nats; Eq. (14.16), corrected."""
    return 0.5 * (mean**2 + torch.exp(2 * log_std) - 1 - 2 * log_std).sum(-1)


def elbo_terms(model, x, generator=None):
    """One-sample reconstruction term and closed-form KL(q(z | x) || p(z)), each (B,) in nats.

    x : (B, *image_shape): values in [0, 1] (Bernoulli), grey levels 0..255 (categorical) or any
        finite numbers (Gaussian); array or tensor. elbo = recon - kl; for zeros and ones, and
        for the other two likelihoods, its mean over the noise is <= log p(x).
    Raises ValueError for a wrong shape or range, or NaN.
    """
    return _terms(model, as_images(model, x), generator)


def _terms(model, x, generator):
    mean, log_std = model.encode(x)
    z = mean + torch.exp(log_std) * vae_nets.draw_noise(mean.shape, mean, generator)
    return model.log_likelihood(x, model.decode(z)), kl_to_prior(mean, log_std)


def train_vae(
    model, images, *, epochs, batch_size, lr, generator=None, progress=True,
    beta=1.0, test_images=None, device=None,
):  # fmt: skip
    """Maximise the mean of recon - beta * kl by Adam; lr rises for 5 % of the steps, then falls.

    images    : (N, *image_shape), as elbo_terms wants them
    generator : source of the order and the noise (a new one with seed 0 when None)
    device    : where to train; None takes a GPU when there is one
    Interrupting (Ctrl-C, Jupyter's stop button) keeps the partly trained model.
    Returns a TrainResult. Raises ValueError for bad input, FloatingPointError on divergence.
    """
    epochs = validation.integer("epochs", epochs)
    batch_size = validation.integer("batch_size", batch_size)
    lr = float(validation.positive("lr", lr, ndim=0))
    if float(validation.finite("beta", beta, ndim=0)) < 0:
        raise ValueError(f"beta must be at least 0, got {beta:g}")
    generator = vae_nets.or_seed_zero(generator)
    model.to(device or default_device())
    images = as_images(model, images, "images")
    if test_images is not None:
        test_images = as_images(model, test_images, "test_images")
    steps = epochs * math.ceil(len(images) / batch_size)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: _lr_factor(s, steps))
    trace = []
    bar = tqdm(total=steps, disable=not progress, file=sys.stdout, mininterval=1.0, ncols=90)
    try:
        for epoch in range(epochs):
            sums = np.zeros(3)  # recon, kl, images seen
            order = vae_nets.shuffled(len(images), generator).to(images.device)
            for batch in order.split(batch_size):
                recon, kl = _terms(model, images.index_select(0, batch), generator)
                loss = (beta * kl - recon).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                sums += recon.sum().item(), kl.sum().item(), len(batch)
                _report(bar, epoch, sums)
            _record(trace, model, sums, test_images)
        converged = True
    except KeyboardInterrupt:
        converged = False
        print(f"\ninterrupted in epoch {epoch + 1} of {epochs}: the model is partly trained")
        if sums[2]:
            _record(trace, model, sums, test_images)
    bar.close()
    names = trace[0] if trace else ("recon", "kl", "elbo")
    series = {name: np.array([entry[name] for entry in trace]) for name in names}
    return TrainResult(model, series, converged, len(trace), len(images))


def _lr_factor(step, steps):
    warm = max(1, steps // 20)
    return min((step + 1) / warm, 0.5 * (1 + math.cos(math.pi * step / steps)))


def _report(bar, epoch, sums):
    recon, kl = sums[:2] / sums[2]
    if not math.isfinite(recon - kl):
        raise FloatingPointError(f"training diverged in epoch {epoch + 1}; try a smaller lr")
    bar.set_postfix_str(f"epoch {epoch + 1} recon {recon:.1f} kl {kl:.1f}", refresh=False)
    bar.update()


def _record(trace, model, sums, test_images):
    recon, kl = sums[:2] / sums[2]
    entry = {"recon": recon, "kl": kl, "elbo": recon - kl}
    if test_images is not None:
        recon, kl = (term.mean().item() for term in evaluate(model, test_images))
        entry |= {"test_recon": recon, "test_kl": kl, "test_elbo": recon - kl}
    trace.append(entry)


@torch.no_grad()
def evaluate(model, x, generator=None):
    """elbo_terms of many images in batches, without gradients (seed 0 when generator is None)."""
    generator = vae_nets.or_seed_zero(generator)
    batches = as_images(model, x).split(_images_at_once(model))
    terms = [_terms(model, batch, generator) for batch in batches]
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
            noise = vae_nets.draw_noise((count, *mean.shape), mean, generator)
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
