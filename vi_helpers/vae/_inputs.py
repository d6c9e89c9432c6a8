"""What comes in, checked: sizes, images, generators; and the noise drawn from a generator."""

import math

import numpy as np
import torch

from vi_helpers import validation
from vi_helpers._seeding import checked

LIKELIHOODS = ("bernoulli", "categorical", "gaussian")
NUM_LEVELS = 256  # grey levels of the categorical decoder


def sizes(name, values):
    """values as a list of integers >= 1, or ValueError."""
    if np.ndim(values) != 1:
        raise ValueError(f"{name} must be a sequence of integers >= 1, got {values!r}")
    return [validation.integer(name, value) for value in values]


def as_images(model, x, name="x"):
    """Return x as a tensor of the model's type on its device, or raise ValueError."""
    validation.methods("model", model, "encode", "decode", "log_likelihood", "parameters")
    if not torch.is_tensor(x):
        x = validation.array(name, x)
        if x.dtype.kind not in "buif":
            raise ValueError(f"{name} must be real numbers, got an array of {x.dtype}")
        x = torch.tensor(x)  # a copy: x may be read-only
    if x.is_complex():
        raise ValueError(f"{name} must be real numbers, got a tensor of {x.dtype}")
    x = x.to(model.device, next(model.parameters()).dtype)
    if tuple(x.shape[1:]) != model.image_shape or x.ndim == 0 or len(x) == 0:
        wanted = ", ".join(map(str, model.image_shape))
        raise ValueError(f"{name} must have shape (B, {wanted}), got {tuple(x.shape)}")
    low, high = (value.item() for value in torch.aminmax(x))
    if not math.isfinite(low + high):
        raise ValueError(f"{name} must be finite, got NaN or infinite values")
    top = {"bernoulli": 1, "categorical": NUM_LEVELS - 1, "gaussian": math.inf}[model.likelihood]
    if model.likelihood != "gaussian" and (low < 0 or high > top):
        raise ValueError(f"{name} must lie in [0, {top}], got values from {low:g} to {high:g}")
    if model.likelihood == "categorical" and (x != x.round()).any():
        raise ValueError(f"{name} must hold whole grey levels, got fractions")
    return x


def default_device():
    """The GPU when there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def shuffled(count, generator):
    """The numbers 0 .. count - 1 in random order."""
    return torch.randperm(count, generator=generator, device=generator.device)


def draw_noise(shape, like, generator):
    """Standard normal numbers, of like's type and on its device, wherever the generator is."""
    device = like.device if generator is None else checked(generator).device
    noise = torch.randn(shape, generator=generator, dtype=like.dtype, device=device)
    return noise.to(like.device)
