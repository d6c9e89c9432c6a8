"""The networks: dense and convolutional pairs, their start, and a fast Bernoulli likelihood."""

import itertools
import math

import torch
from torch import nn
from torch.nn import functional


class Residual(nn.Module):
    """h + silu(W h + b): a layer that starts near the identity and adds to it."""

    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, h):
        return h + functional.silu(self.linear(h))


def dense_pair(latent_dim, hidden, image_shape, features, residual=False):
    """Fully connected encoder and decoder; features numbers come out for each pixel."""
    pixels = math.prod(image_shape)
    encoder = _stack([pixels, *hidden, 2 * latent_dim], residual)
    decoder = _stack([latent_dim, *reversed(hidden), pixels * features], residual)
    return nn.Sequential(nn.Flatten(), *encoder), nn.Sequential(*decoder)


def _stack(sizes, residual=False):
    """Linear layers with SiLU between; with residual, Residual between equal widths."""
    layers, last = [], len(sizes) - 2
    for index, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        if residual and inputs == outputs and 0 < index < last:
            layers.append(Residual(inputs))
        else:
            layers.append(nn.Linear(inputs, outputs))
            layers += [nn.SiLU()] if index < last else []
    return layers


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
        encoder += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.SiLU()]
    encoder += [nn.Flatten(), *_stack([math.prod(small), 2 * latent_dim])]
    decoder = [*_stack([latent_dim, math.prod(small)]), nn.Unflatten(1, small)]
    back = [*reversed(channels), features]
    for inputs, outputs in itertools.pairwise(back):
        decoder += [nn.SiLU(), nn.ConvTranspose2d(inputs, outputs, 4, 2, 1)]
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
        return None, (x - torch.sigmoid(logits)) * grad.unsqueeze(-1)  # itself differentiable


@torch.no_grad()
def initialise(model, generator):
    """Draw every weight uniformly within 1 / sqrt(inputs), torch's own choice, from generator."""
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            bound = 1 / math.sqrt(module.weight[0].numel())
            module.weight.uniform_(-bound, bound, generator=generator)
            module.bias.uniform_(-bound, bound, generator=generator)
