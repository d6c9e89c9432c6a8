"""Many small networks as one stack, against torch's modules trained one after another."""

import pytest
import torch

from vi_helpers import small_networks

SIZES = {"linear": (2, 2), "one hidden layer": (2, 5, 3), "two": (2, 6, 4, 2)}


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def stack(sizes, count=3):
    layers = small_networks.random_layers(sizes, count, gen())
    return [tuple(part.double() for part in pair) for pair in layers]


def module(layers, index):
    """The network with that index, of torch's own parts."""
    parts = []
    for weights, biases in layers:
        linear = torch.nn.Linear(*weights.shape[1:]).double()
        state = {"weight": weights[index].T, "bias": biases[index, 0]}
        linear.load_state_dict(state)
        parts += [linear, torch.nn.SiLU()]
    return torch.nn.Sequential(*parts[:-1])


def loss(out, x):
    """Neither symmetric nor linear in out; x (..., B, 2)."""
    return (torch.sin(out) + 0.3 * out**2 * x[..., :1]).sum(-1).mean(-1)


def slopes(out, x):
    return (torch.cos(out) + 0.6 * out * x[..., :1]) / x.shape[-2]


def fall(share):
    return 1 - 0.9 * share


def modules_trained(sizes, steps, lr):
    """Every network by itself: autograd, torch's Adam and a schedule of torch's."""
    found = []
    for index in range(3):
        net, source = module(stack(sizes), index), gen(7)
        optimizer = torch.optim.Adam(net.parameters(), lr=lr)

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: fall(step / steps))
        for _ in range(steps):
            x = torch.randn(3, 8, 2, generator=source, dtype=torch.double)[index]
            optimizer.zero_grad()
            loss(net(x), x).backward()
            optimizer.step()
            schedule.step()
        found.append(net)
    return found


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_every_network_of_a_stack_gives_what_it_gives_alone(sizes):
    layers, x = stack(sizes), torch.randn(3, 7, 2, generator=gen(1), dtype=torch.double)
    out = small_networks.outputs(layers, x)
    for index in range(3):
        torch.testing.assert_close(out[index], module(layers, index)(x[index]))


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_a_step_goes_down_the_gradient_that_autograd_finds(sizes):
    layers, x = stack(sizes), torch.randn(3, 7, 2, generator=gen(1), dtype=torch.double)
    out, kept = small_networks._forward(layers, x)
    grads = [tuple(torch.empty_like(part) for part in pair) for pair in layers]
    small_networks._backward(layers, kept, slopes(out, x), grads)
    for index in range(3):
        net = module(layers, index)
        own = torch.autograd.grad(loss(net(x[index]), x[index]), list(net.parameters()))
        for (weights, biases), by_torch in zip(
            grads, zip(own[::2], own[1::2], strict=True), strict=True
        ):
            torch.testing.assert_close(weights[index].T, by_torch[0])
            torch.testing.assert_close(biases[index, 0], by_torch[1])


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_training_a_stack_is_training_one_network_after_another(sizes):
    source = gen(7)

    def draw():
        return (torch.randn(3, 8, 2, generator=source, dtype=torch.double),)

    before = stack(sizes)
    layers = small_networks.train(
        before, draw, slopes, steps=50, lr=lambda share: 0.02 * fall(share)
    )
    for kept, again in zip(before, stack(sizes), strict=True):
        assert all(map(torch.equal, kept, again)), "the start is left alone"
    for index, net in enumerate(modules_trained(sizes, 50, 0.02)):
        for ours, theirs in zip(module(layers, index).parameters(), net.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)


def test_the_random_start_is_that_of_torch_in_spread_and_the_same_for_a_seed():
    weights, biases = small_networks.random_layers((50, 40), 30, gen(2))[0]
    assert weights.shape == (30, 50, 40) and biases.shape == (30, 1, 40)
    for part in (weights, biases):
        bound = 50**-0.5
        assert part.abs().max() <= bound and abs(part.std() * 3**0.5 / bound - 1) < 0.05
    assert torch.equal(weights, small_networks.random_layers((50, 40), 30, gen(2))[0][0])


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"layers": []}, "layers"),
        ({"layers": [(torch.ones(2, 2, 2), torch.ones(2, 2))]}, "layers"),
        ({"layers": [(torch.ones(2, 2, 2),)]}, "layers"),
        ({"draw": lambda: (torch.ones(2, 4, 3),)}, "draw"),
        ({"draw": lambda: (torch.ones(4, 2),)}, "draw"),
        ({"slopes": lambda out, x: out.sum()}, "slopes"),
        ({"slopes": lambda out, x: None}, "slopes"),
        ({"steps": 0}, "steps"),
        ({"lr": -1.0}, "lr"),
        ({"lr": lambda share: None}, "lr"),
    ],
)
def test_bad_input_is_named(changed, says):
    right = {"layers": small_networks.random_layers((2, 2), 2, gen()), "steps": 2, "lr": 0.1}
    right |= {"draw": lambda: (torch.ones(2, 4, 2),), "slopes": lambda out, x: out}
    with pytest.raises(ValueError, match=says):
        small_networks.train(**right | changed)


def test_a_training_that_diverges_says_so():
    layers = small_networks.random_layers((2, 2), 2, gen())
    with pytest.raises(FloatingPointError, match="smaller lr"):
        small_networks.train(
            layers, lambda: (torch.ones(2, 4, 2),), lambda out, x: out / 0, steps=2, lr=0.1
        )
