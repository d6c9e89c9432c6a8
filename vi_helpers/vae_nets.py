"""What vae.py stands on: networks, the check of their input, noise, results, checkpoints."""

import itertools
import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from vi_helpers import validation

LIKELIHOODS = ("bernoulli", "categorical", "gaussian")
NUM_LEVELS = 256  # grey levels of the categorical decoder


@dataclass(frozen=True)
class TrainResult:
    """What training did. trace holds one entry per epoch, in nats per image, under the names
    recon, kl, elbo (averages while training) and, when test images were given, test_recon,
    test_kl, test_elbo (after the epoch). n_iter counts epochs, a last unfinished one too;
    converged is False when the training was interrupted."""

    params: nn.Module
    trace: dict
    converged: bool
    n_iter: int
    num_images: int

    @property
    def elbos(self):
        """Training ELBO of each epoch, in nats for the whole data set, (n_iter,)."""
        return self.trace["elbo"] * self.num_images


def sizes(name, values):
    """values as a list of integers >= 1, or ValueError."""
    if np.ndim(values) != 1:
        raise ValueError(f"{name} must be a sequence of integers >= 1, got {values!r}")
    return [validation.integer(name, value) for value in values]


def dense_pair(latent_dim, hidden, image_shape, features):
    """Fully connected encoder and decoder; features numbers come out for each pixel."""
    pixels = math.prod(image_shape)
    encoder = _stack([pixels, *hidden, 2 * latent_dim])
    decoder = _stack([latent_dim, *reversed(hidden), pixels * features])
    return nn.Sequential(nn.Flatten(), *encoder), nn.Sequential(*decoder)


def _stack(sizes):
    layers = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.utils.skip_init(nn.Linear, inputs, outputs), nn.SiLU()]
    return layers[:-1]


def conv_pair(latent_dim, channels, image_shape, features):
    """Convolutions that halve the image len(channels) times, and the mirror image of that."""
    halvings = 2 ** len(channels)
    if len(image_shape) != 2 or not channels or any(side % halvings for side in image_shape):
        raise ValueError(
            f"image_shape must be (H, W), each a multiple of {halvings}, for a convolutional "
            f"pair with {len(channels)} channel counts, got {tuple(image_shape)}"
        )
    small = (channels[-1], *(side // halvings for side in image_shape))
    encoder = [nn.Unflatten(1, (1, image_shape[0]))]  # (B, H, W) -> (B, 1, H, W)
    for inputs, outputs in zip([1, *channels[:-1]], channels, strict=True):
        encoder += [nn.utils.skip_init(nn.Conv2d, inputs, outputs, 4, 2, 1), nn.SiLU()]
    encoder += [nn.Flatten(), *_stack([math.prod(small), 2 * latent_dim])]
    decoder = [*_stack([latent_dim, math.prod(small)]), nn.Unflatten(1, small)]
    back = [*reversed(channels), features]
    for inputs, outputs in itertools.pairwise(back):
        decoder += [nn.SiLU(), nn.utils.skip_init(nn.ConvTranspose2d, inputs, outputs, 4, 2, 1)]
    return nn.Sequential(*encoder), nn.Sequential(*decoder)


class BernoulliLogLikelihood(torch.autograd.Function):
    """Sum over the last axis of x l - log(1 + exp(l)), l the logits; only l gets a gradient.

    Autograd would make three passes over the pixels where x - sigmoid(l) is one and a half.
    """

    @staticmethod
    def forward(ctx, x, logits):
        ctx.save_for_backward(x, logits)
        # log(1 + exp(l)) = max(l, 0) - log sigmoid(|l|), half as long as softplus takes
        log_norm = torch.relu(logits).sub_(logits.abs().sigmoid_().log_())
        return (x * logits).sub_(log_norm).sum(-1)

    @staticmethod
    def backward(ctx, grad):
        x, logits = ctx.saved_tensors
        return None, torch.sigmoid(logits).neg_().add_(x).mul_(grad.unsqueeze(-1))


@torch.no_grad()
def initialise(model, generator):
    """Draw every weight uniformly within 1 / sqrt(inputs), torch's own choice, from generator."""
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            bound = 1 / math.sqrt(module.weight[0].numel())
            module.weight.uniform_(-bound, bound, generator=generator)
            module.bias.uniform_(-bound, bound, generator=generator)


def as_images(model, x, name="x"):
    """Return x as a tensor of the model's type on its device, or raise ValueError."""
    if not torch.is_tensor(x):
        x = np.asarray(x)
        if x.dtype.kind not in "buif":
            raise ValueError(f"{name} must be real numbers, got an array of {x.dtype}")
        x = torch.tensor(x)  # a copy: x may be read-only
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


def or_seed_zero(generator):
    """generator, or a new one with seed 0 in place of None; ValueError for anything else."""
    if generator is None:
        return torch.Generator().manual_seed(0)
    if not isinstance(generator, torch.Generator):
        raise ValueError(f"generator must be a torch.Generator, got {type(generator).__name__}")
    return generator


def shuffled(count, generator):
    """The numbers 0 .. count - 1 in random order."""
    return torch.randperm(count, generator=generator, device=generator.device)


def draw_noise(shape, like, generator):
    """Standard normal numbers, of like's type and on its device, wherever the generator is."""
    device = like.device if generator is None else generator.device
    noise = torch.randn(shape, generator=generator, dtype=like.dtype, device=device)
    return noise.to(like.device)


def save_checkpoint(model, path):
    """Write the weights and the architecture of a VAE; path appears only when complete."""
    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            torch.save({"architecture": model.architecture, "state": model.state_dict()}, file)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def load_checkpoint(model, path):
    """Read weights that save_checkpoint wrote into model, and return it.

    Only tensors and plain values are read (weights_only), so a checkpoint cannot run code.
    Raises ValueError for a file of another kind, or the checkpoint of another architecture.
    """
    try:
        checkpoint = torch.load(path, map_location=model.device, weights_only=True)
        theirs, state = dict(checkpoint["architecture"]), checkpoint["state"]
    except OSError:
        raise  # a missing file says so itself
    except Exception as error:
        raise ValueError(f"path must be a checkpoint of a VAE, got {path}: {error}") from error
    if theirs != model.architecture:
        names = [name for name, value in model.architecture.items() if theirs.get(name) != value]
        raise ValueError(
            f"path must be a checkpoint of this architecture, got another {', '.join(names)}: "
            + "; ".join(f"{n} {theirs.get(n)} instead of {model.architecture[n]}" for n in names)
        )
    model.load_state_dict(state)
    return model
