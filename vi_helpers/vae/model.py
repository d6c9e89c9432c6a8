"""The model: an encoder, a decoder, and the likelihood of the pixels."""

import math

import torch
from torch import nn
from torch.nn import functional

from vi_helpers import validation
from vi_helpers._seeding import or_seed_zero
from vi_helpers.densities import LOG_2PI
from vi_helpers.vae import _inputs, _networks
from vi_helpers.vae._inputs import LIKELIHOODS, NUM_LEVELS

PIXEL_FEATURES = 8  # numbers per pixel from which a categorical decoder makes its logits


class VAE(nn.Module):
    """Encoder and decoder; parameters start from generator (seed 0 when None).

    hidden_dims : widths of the encoder's hidden layers, reversed in the decoder; () makes both
                  linear. With conv=True the channels of convolutions that each halve the image.
    likelihood  : "bernoulli" (pixel logits), "categorical" (256 grey levels), or "gaussian"
                  (one noise std for all pixels: learned, or fixed to noise_std)
    image_shape : (H, W), or (D,) for plain vectors
    residual    : between two hidden layers of equal width, h + silu(W h) in place of silu(W h)
    Raises ValueError for a dimension below 1, an unknown likelihood, or an impossible shape.
    """

    def __init__(
        self, latent_dim, hidden_dims, likelihood="bernoulli", image_shape=(28, 28),
        *, conv=False, residual=False, noise_std=None, generator=None,
    ):  # fmt: skip
        super().__init__()
        self.latent_dim = validation.integer("latent_dim", latent_dim)
        conv, residual = validation.flag("conv", conv), validation.flag("residual", residual)
        hidden = _inputs.sizes("hidden_dims", hidden_dims)
        self.image_shape = tuple(_inputs.sizes("image_shape", image_shape))
        self.likelihood = validation.one_of("likelihood", likelihood, LIKELIHOODS)
        self.architecture = {
            "latent_dim": self.latent_dim, "hidden_dims": hidden, "likelihood": likelihood,
            "image_shape": list(self.image_shape), "conv": bool(conv), "noise_std": noise_std,
            "residual": bool(residual),
        }  # fmt: skip
        if conv and residual:
            raise ValueError("residual must be False with conv=True, got True")
        features = PIXEL_FEATURES if likelihood == "categorical" else 1
        sizes = self.latent_dim, hidden, self.image_shape, features
        # The layers' own start draws from torch's global generator, which stays as it was.
        # (skip_init would not draw, but it imports sympy: half a second at the first model.)
        with torch.random.fork_rng(devices=[]):
            pair = _networks.conv_pair(*sizes) if conv else _networks.dense_pair(*sizes, residual)
            self.encoder, self.decoder = pair
            if likelihood == "categorical":
                self.to_levels = nn.Linear(features, NUM_LEVELS)
        if likelihood == "gaussian":
            start = 1.0 if noise_std is None else validation.positive_number("noise_std", noise_std)
            self.log_noise_std = nn.Parameter(torch.tensor(math.log(start)), noise_std is None)
        _networks.initialise(self, or_seed_zero(generator))

    @torch.no_grad()
    def start_at_pixel_means(self, images):
        """Set the decoder's last bias so that, before training, z = 0 gives the mean image.

        images : (N, *image_shape), as elbo_terms wants them; not for the categorical likelihood,
                 whose features are no pixels, nor for conv=True (one bias for all pixels)
        Bernoulli pixels get the log-odds of their frequency, (sum + 1) / (N + 2). Returns self.
        """
        if self.likelihood == "categorical" or self.architecture["conv"]:
            raise ValueError("model must be dense, with Bernoulli or Gaussian pixels")
        images = _inputs.as_images(self, images, "images").flatten(1)
        mean = images.mean(0)
        if self.likelihood == "bernoulli":
            mean = torch.logit((images.sum(0) + 1) / (len(images) + 2))
        self.decoder[-1].bias.copy_(mean)
        return self

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
        x, out = torch.broadcast_tensors(x, out)
        if self.likelihood == "bernoulli":  # on logits: log of a sigmoid would underflow
            return -functional.binary_cross_entropy_with_logits(out, x, reduction="none")
        z_score = (x - out) * torch.exp(-self.log_noise_std)
        return -0.5 * z_score**2 - self.log_noise_std - 0.5 * LOG_2PI

    def log_likelihood(self, x, out):
        """log p(x | z): log_pixels summed over the pixels, (...,)."""
        if self.likelihood == "bernoulli":  # the same sum in half the time
            x, logits = (values.flatten(-len(self.image_shape)) for values in (x, out))
            return _networks.BernoulliLogLikelihood.apply(x, logits)
        return self.log_pixels(x, out).flatten(-len(self.image_shape)).sum(-1)

    def mean_image(self, z):
        """E[x | z]: probabilities, grey levels in 0..255, or Gaussian means."""
        out = self.decode(z)
        if self.likelihood == "categorical":
            return out.softmax(-1) @ torch.arange(NUM_LEVELS, dtype=out.dtype, device=out.device)
        return out.sigmoid() if self.likelihood == "bernoulli" else out
