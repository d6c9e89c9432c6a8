"""Many small networks of one shape, trained in the same steps as one stack.

A step of a small network is mostly overhead, and a step of the stack has it once. The gradient of
the layers is written out here, and that of the loss by the caller: with autograd a step takes
twice as long. A layer is a pair: weights (E, inputs, outputs) and biases (E, 1, outputs) of E
networks. SiLU, h sigmoid(h), stands between the layers.
"""

import itertools
import math

import torch
from torch.nn import functional
from torch.optim.adam import adam

from vi_helpers import validation
from vi_helpers._seeding import checked


def random_layers(sizes, count, generator):
    """Layers of count networks, uniform within 1 / sqrt(inputs), torch's own choice.

    sizes : numbers of inputs, of units in each hidden layer, and of outputs
    """
    if not isinstance(sizes, (tuple, list)) or len(sizes) < 2:
        raise ValueError(f"sizes must be a list of at least two integers, got {sizes!r}")
    sizes = [validation.integer("sizes", size) for size in sizes]
    count, generator = validation.integer("count", count), checked(generator)
    layers = []
    for inputs, outputs_ in itertools.pairwise(sizes):
        shapes = (count, inputs, outputs_), (count, 1, outputs_)
        parts = [2 * torch.rand(shape, generator=generator) - 1 for shape in shapes]
        layers.append(tuple(part / inputs**0.5 for part in parts))
    return layers


def outputs(layers, x):
    """What the networks make of x (E, B, inputs), each of its own B rows: (E, B, outputs).

    layers : a list of pairs (weights, biases), as random_layers and train return it
    """
    out = _forward(*_fitting(layers, x))[0]
    if not torch.isfinite(out).all():
        raise ValueError("x must be finite and of moderate size: an output is not finite")
    return out


def train(layers, draw, slopes, *, steps, lr):
    """New layers, after steps of Adam; every network learns by itself, from its own rows.

    draw   : function of nothing -> (x, ...), x (E, B, inputs) and whatever else slopes wants
    slopes : function of (out, x, ...) -> the loss's derivatives in out, both (E, B, outputs);
             where the loss is a mean over the B rows, they hold its factor 1 / B
    lr     : length of the steps: a number, or a function of the share of the steps done, 0 to 1
    Raises ValueError for bad input, FloatingPointError when the weights are no longer finite.
    """
    draw, slopes = validation.function("draw", draw), validation.function("slopes", slopes)
    steps = validation.integer("steps", steps)
    shapes = [part.shape for pair in _checked(layers) for part in pair]
    flat = torch.cat([part.detach().flatten() for pair in layers for part in pair])
    grad, mean, square = (torch.zeros_like(flat) for _ in range(3))
    layers, grads, count = _pairs(flat, shapes), _pairs(grad, shapes), torch.zeros(())
    with torch.no_grad():
        for step in range(steps):
            x, *rest = _tuple(draw())
            out, kept = _forward(*_fitting(layers, x, "what draw returns first"))
            slope = slopes(out, x, *rest)
            if not torch.is_tensor(slope) or (slope.shape, slope.dtype) != (out.shape, out.dtype):
                came = f"{tuple(slope.shape)}" if torch.is_tensor(slope) else type(slope).__name__
                raise ValueError(f"slopes must return {tuple(out.shape)} like out, got {came}")
            _backward(layers, kept, slope, grads)
            now = lr(step / steps) if callable(lr) else lr
            adam(
                [flat], [grad], [mean], [square], [], [count], fused=True,
                lr=validation.positive_number("lr", now), beta1=0.9, beta2=0.999, eps=1e-8,
                amsgrad=False, weight_decay=0.0, maximize=False,
            )  # fmt: skip
    if not torch.isfinite(flat).all():
        raise FloatingPointError("training diverged, or slopes gave NaN: try a smaller lr")
    return layers


def _forward(layers, x):
    """The output, and for each layer what came in, before SiLU and after."""
    kept = [(None, x)]
    for weights, biases in layers[:-1]:
        x = torch.baddbmm(biases, x, weights)
        kept.append((x, functional.silu(x)))
        x = kept[-1][1]
    weights, biases = layers[-1]
    return torch.baddbmm(biases, x, weights), kept


def _backward(layers, kept, slope, grads):
    """Write the gradient of every layer into grads; slope is that of the output."""
    for (weights, _), (before, after), into in reversed(
        list(zip(layers, kept, grads, strict=True))
    ):
        torch.bmm(after.mT, slope, out=into[0])
        torch.sum(slope, 1, keepdim=True, out=into[1])
        if before is not None:
            slope = torch.ops.aten.silu_backward(torch.bmm(slope, weights.mT), before)


def _pairs(flat, shapes):
    sizes = [math.prod(shape) for shape in shapes]
    parts = [part.view(shape) for part, shape in zip(flat.split(sizes), shapes, strict=True)]
    return list(zip(parts[::2], parts[1::2], strict=True))


def _checked(layers):
    if not isinstance(layers, (list, tuple)) or not layers:
        raise ValueError(f"layers must be a list of pairs, got {type(layers).__name__}")
    for pair in layers:
        if not isinstance(pair, (list, tuple)) or not all(map(torch.is_tensor, pair)):
            raise ValueError(f"layers must be pairs of tensors, got {type(pair).__name__}")
        if len(pair) != 2:
            raise ValueError(f"layers must be pairs of tensors, got {len(pair)} in one")
    for weights, biases in layers:
        if weights.ndim != 3 or biases.shape != (len(weights), 1, weights.shape[2]):
            came = f"{tuple(weights.shape)} and {tuple(biases.shape)}"
            raise ValueError(f"layers must be (E, inputs, outputs), (E, 1, outputs), got {came}")
    return layers


def _fitting(layers, x, name="x"):
    weights = _checked(layers)[0][0]
    if not torch.is_tensor(x) or x.ndim != 3 or x.dtype != weights.dtype:
        came = f"{x.ndim}-d, {x.dtype}" if torch.is_tensor(x) else type(x).__name__
        raise ValueError(f"{name} must be a 3-d tensor of {weights.dtype}, got {came}")
    if (x.shape[0], x.shape[2]) != tuple(weights.shape[:2]):
        count, size = weights.shape[:2]
        raise ValueError(f"{name} must have shape ({count}, B, {size}), got {tuple(x.shape)}")
    return layers, x


def _tuple(batch):
    if not isinstance(batch, tuple) or not batch:
        raise ValueError(f"draw must return a tuple (x, ...), got {type(batch).__name__}")
    return batch
