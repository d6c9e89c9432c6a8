"""Training by Adam, what it returns, and checkpoints."""

import io
import math
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.optim.adam import adam
from tqdm import tqdm

from vi_helpers import validation
from vi_helpers._seeding import or_seed_zero
from vi_helpers.vae._inputs import as_images, default_device, shuffled
from vi_helpers.vae.bounds import elbo_terms_batched, sampled_terms
from vi_helpers.vae.model import VAE


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


def train_vae(
    model, images, *, epochs, batch_size, lr, generator=None, progress=True,
    beta=1.0, test_images=None, device=None,
):  # fmt: skip
    """Maximise the mean of recon - beta * kl by Adam.

    The step rises for 5 % of the steps to its full length lr, then falls evenly to zero.

    images    : (N, *image_shape), as elbo_terms wants them
    generator : source of the order and the noise (a new one with seed 0 when None)
    beta      : weight of the KL, >= 0: a number, or a function of the share of the steps done,
                from 0 to 1 (warm-up)
    device    : where to train; None takes a GPU when there is one
    Interrupting (Ctrl-C, Jupyter's stop button) keeps the partly trained model.
    Returns a TrainResult. Raises ValueError for bad input, FloatingPointError on divergence.
    """
    epochs = validation.integer("epochs", epochs)
    batch_size = validation.integer("batch_size", batch_size)
    lr = validation.positive_number("lr", lr)
    weight_at(beta, 0.0)
    generator = or_seed_zero(generator)
    validation.flag("progress", progress)
    validation.methods("model", model, "encode", "decode", "log_likelihood", "parameters", "to")
    model.to(default_device() if device is None else device_of(device))
    images = as_images(model, images, "images")
    if test_images is not None:
        test_images = as_images(model, test_images, "test_images")
    steps = epochs * math.ceil(len(images) / batch_size)
    optimizer = Adam(model.parameters())
    trace, done = [], 0
    bar = tqdm(total=steps, disable=not progress, file=sys.stdout, mininterval=1.0, ncols=90)
    try:
        for epoch in range(epochs):
            sums = np.zeros(3)  # recon, kl, images seen
            order = shuffled(len(images), generator).to(images.device)
            for batch in order.split(batch_size):
                terms = sampled_terms(model, images.index_select(0, batch), generator)
                recon, kl = (term.mean() for term in terms)
                loss = weight_at(beta, done / steps) * kl - recon
                optimizer.descend(loss, lr * lr_factor(done, steps))
                done += 1
                sums += len(batch) * np.array([recon.item(), kl.item(), 1.0])
                _report(bar, epoch, sums)
            _record(trace, model, sums, test_images)
        converged = True
    except KeyboardInterrupt:
        converged = False
        bar.close()  # before the sentence: a bar that is closed is written once more
        print(f"interrupted in epoch {epoch + 1} of {epochs}: the model is partly trained")
        if sums[2] and len(trace) == epoch:
            _record(trace, model, sums, test_images)
    bar.close()
    names = trace[0] if trace else ("recon", "kl", "elbo")
    series = {name: np.array([entry[name] for entry in trace]) for name in names}
    return TrainResult(model, series, converged, len(trace), len(images))


class Adam:
    """torch's Adam, called as a function; torch.optim.Adam, the class, would import torch's
    compiler when it is made (more than a second) and spends longer around each step. The fused
    step reads memory in order, whatever the strides, so a gradient gets its weight's strides."""

    def __init__(self, parameters):
        self.parameters = [weight for weight in parameters if weight.requires_grad]
        self.means, self.squares = (
            [torch.zeros_like(weight) for weight in self.parameters] for _ in range(2)
        )
        self.steps = [torch.zeros((), device=weight.device) for weight in self.parameters]

    def descend(self, loss, lr):
        """One step down the gradient of loss; weights that loss does not use stay."""
        grads = torch.autograd.grad(loss, self.parameters, materialize_grads=True)
        pairs = zip(grads, self.parameters, strict=True)
        grads = [
            grad if grad.stride() == weight.stride() else torch.empty_like(weight).copy_(grad)
            for grad, weight in pairs
        ]
        adam(
            self.parameters, grads, self.means, self.squares, [], self.steps, lr=lr,
            fused=True, beta1=0.9, beta2=0.999, eps=1e-8,
            amsgrad=False, weight_decay=0.0, maximize=False,
        )  # fmt: skip


def device_of(device):
    try:
        return torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device must name a device, got {device!r}: {error}") from error


def lr_factor(step, steps):
    warm = max(1, steps // 20)
    return min((step + 1) / warm, 1 - step / steps)


def weight_at(beta, share):
    value = validation.number("beta", beta(share) if callable(beta) else beta)
    if value < 0:
        raise ValueError(f"beta must be at least 0, got {value:g}")
    return value


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
        recon, kl = (term.mean().item() for term in elbo_terms_batched(model, test_images))
        entry |= {"test_recon": recon, "test_kl": kl, "test_elbo": recon - kl}
    trace.append(entry)


def _path(path):
    try:
        return Path(path)
    except TypeError as error:
        raise ValueError(f"path must be a path, got {type(path).__name__}") from error


def save_checkpoint(model, path):
    """Write the weights and the architecture of a VAE; path appears only when complete."""
    validation.instance("model", model, VAE)
    path = _path(path)
    # A NumPy number or text inside would be refused when loading: only plain values are safe.
    architecture = {
        name: value.item() if isinstance(value, (np.generic, np.ndarray)) else value
        for name, value in model.architecture.items()
    }
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            torch.save({"architecture": architecture, "state": model.state_dict()}, file)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def load_checkpoint(model, path):
    """Read weights that save_checkpoint wrote into model, and return it.

    Only tensors and plain values are read (weights_only), so a checkpoint cannot run code.
    Raises ValueError for a damaged file or one of another kind, and for the checkpoint of
    another architecture; OSError where the file cannot be read.
    """
    validation.instance("model", model, VAE)
    file = io.BytesIO(_path(path).read_bytes())
    try:
        checkpoint = torch.load(file, map_location=model.device, weights_only=True)
        theirs, state = dict(checkpoint["architecture"]), dict(checkpoint["state"])
    except Exception as error:
        raise ValueError(f"path must be a checkpoint of a VAE, got {path}: {error}") from error
    if theirs != model.architecture:
        names = [name for name, value in model.architecture.items() if theirs.get(name) != value]
        raise ValueError(
            f"path must be a checkpoint of this architecture, got another {', '.join(names)}: "
            + "; ".join(f"{n} {theirs.get(n)} instead of {model.architecture[n]}" for n in names)
        )
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"path must hold the weights of this VAE, got {path}: {error}") from error
    return model
