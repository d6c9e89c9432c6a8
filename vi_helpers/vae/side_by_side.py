"""Several models of one architecture, trained in the same steps as one stacked model."""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from vi_helpers import validation
from vi_helpers._seeding import checked
from vi_helpers.vae._inputs import as_images, default_device, draw_noise, shuffled
from vi_helpers.vae._networks import Residual
from vi_helpers.vae.bounds import kl_to_prior
from vi_helpers.vae.model import VAE
from vi_helpers.vae.training import Adam, TrainResult, device_of, lr_factor, weight_at


def train_side_by_side(
    models, images, *, epochs, batch_size, lr, generators, betas=None, device=None
):
    """Train every model as train_vae trains it, all of them in the same steps.

    A step of a small network is mostly overhead, and a step of the stack has it once. Each model
    has its own order of the images and its own noise: the result is train_vae's up to rounding.

    models     : dense VAEs of one architecture, with Bernoulli pixels, trained in place
    images     : (N, *image_shape), as elbo_terms wants them
    generators : for each model the source of its order and its noise
    betas      : for each model the weight of its KL: a number, or a function as for train_vae;
                 1 for all when None
    device     : where to train; None takes a GPU when there is one
    Returns a list of TrainResults. Raises ValueError for bad input, FloatingPointError on
    divergence. Interrupting leaves the models partly trained, and raises KeyboardInterrupt.
    """
    models, generators, betas = _checked(models, generators, betas)
    epochs = validation.integer("epochs", epochs)
    batch_size = validation.integer("batch_size", batch_size)
    lr = validation.positive_number("lr", lr)
    for model in models:
        model.to(default_device() if device is None else device_of(device))
    images = as_images(models[0], images, "images")
    stack = _stacked(models)
    optimizer, traces = Adam(stack.values()), []
    steps, done = epochs * math.ceil(len(images) / batch_size), 0
    try:
        for epoch in range(epochs):
            sums = np.zeros((2, len(models)))
            orders = torch.stack([shuffled(len(images), source).cpu() for source in generators])
            for batch in orders.to(images.device).split(batch_size, dim=1):
                terms = _terms(models[0], stack, images[batch], generators)
                recon, kl = (term.mean(1) for term in terms)
                weights = recon.new_tensor([weight_at(beta, done / steps) for beta in betas])
                optimizer.descend((weights * kl - recon).sum(), lr * lr_factor(done, steps))
                done += 1
                sums += batch.shape[1] * torch.stack([recon, kl]).detach().cpu().numpy()
                if not np.isfinite(sums).all():
                    raise FloatingPointError(f"training diverged in epoch {epoch + 1}")
            traces.append(sums / len(images))
    finally:
        _write_back(stack, models)
    traces = np.array(traces)  # (epochs, 2, M)
    return [_result(model, *traces[..., m].T, len(images)) for m, model in enumerate(models)]


def _result(model, recon, kl, num_images):
    series = {"recon": recon, "kl": kl, "elbo": recon - kl}
    return TrainResult(model, series, True, len(kl), num_images)


def _stacked(models):
    """Every parameter of the models as one leaf: matrices (M, in, out), which is the order of
    their gradients, and biases (M, 1, out)."""
    named = [dict(model.named_parameters()) for model in models]
    return {
        name: torch.stack([_swap(weights[name].detach()) for weights in named]).requires_grad_()
        for name in named[0]
    }


def _swap(weight):
    return weight.mT if weight.ndim == 2 else weight[None]


def _terms(model, stack, x, generators):
    """sampled_terms of every model for images of its own: x (M, B, *image_shape), terms (M, B)."""
    mean, log_std = _through(model.encoder, stack, "encoder", x).chunk(2, dim=-1)
    noise = torch.stack([draw_noise(mean.shape[1:], mean, source) for source in generators])
    logits = _through(model.decoder, stack, "decoder", mean + torch.exp(log_std) * noise)
    recon = model.log_likelihood(x, logits.view(*x.shape))
    return recon, kl_to_prior(mean, log_std)


def _through(layers, stack, prefix, h):
    """The layers with every model's own weights: h (M, B, ...) -> (M, B, outputs)."""
    for index, layer in enumerate(layers):
        name = f"{prefix}.{index}"
        if isinstance(layer, nn.Linear):
            h = _linear(h, stack, name)
        elif isinstance(layer, Residual):
            h = h + functional.silu(_linear(h, stack, f"{name}.linear"))
        else:
            h = h.flatten(2) if isinstance(layer, nn.Flatten) else layer(h)
    return h


def _linear(h, stack, name):
    return torch.baddbmm(stack[f"{name}.bias"], h, stack[f"{name}.weight"])


def _checked(models, generators, betas):
    """The three as lists of one length, each entry checked."""
    if not isinstance(models, (list, tuple)) or not models:
        raise ValueError(f"models must be a list of VAEs, got {type(models).__name__}")
    for model in models:
        validation.instance("models", model, VAE)
        if model.architecture != models[0].architecture:
            raise ValueError("models must have one architecture, got several")
    if models[0].likelihood != "bernoulli" or models[0].architecture["conv"]:
        raise ValueError(
            f"models must be dense, with Bernoulli pixels, got {models[0].architecture}"
        )
    if len(set(map(id, models))) < len(models):
        raise ValueError("models must be different objects, got one of them twice")
    betas = [1.0] * len(models) if betas is None else betas
    for name, values in (("generators", generators), ("betas", betas)):
        if not isinstance(values, (list, tuple)) or len(values) != len(models):
            raise ValueError(f"{name} must be a list with an entry for each model, got {values!r}")
    for beta in betas:
        weight_at(beta, 0.0)
    return list(models), [checked(generator) for generator in generators], list(betas)


@torch.no_grad()
def _write_back(stack, models):
    for name, weights in stack.items():
        for model, weight in zip(models, weights, strict=True):
            model.get_parameter(name).copy_(weight.mT if "weight" in name else weight[0])
