"""Models trained side by side against the same models trained one after another."""

import numpy as np
import pytest
import torch

from vi_helpers import vae
from vi_helpers.vae import side_by_side
from vi_helpers.vae.training import Adam

IMAGES = (torch.rand(23, 4, 4, generator=torch.Generator().manual_seed(9)) < 0.4).double()
BETAS = [1.0, 0.3, lambda share: 2 * share]
SHAPES = {
    "dense": dict(hidden_dims=(7, 5)),
    "residual": dict(hidden_dims=(6, 6), residual=True),
    "linear": dict(hidden_dims=()),
}


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def three(shape):
    options = {"image_shape": (4, 4), **SHAPES[shape]}
    return [vae.VAE(2, generator=gen(seed), **options).double() for seed in range(3)]


def train(models, **changes):
    options = dict(epochs=3, batch_size=5, lr=0.02, generators=[gen(seed) for seed in (4, 5, 6)])
    return vae.train_side_by_side(models, IMAGES, betas=BETAS, **options | changes)


@pytest.mark.parametrize("shape", SHAPES)
def test_training_side_by_side_is_training_one_after_another(shape):
    together, alone = three(shape), three(shape)
    results = train(together)
    for index, model in enumerate(alone):
        options = dict(epochs=3, batch_size=5, lr=0.02, beta=BETAS[index], progress=False)
        single = vae.train_vae(model, IMAGES, generator=gen(4 + index), **options)
        assert results[index].params is together[index] and results[index].converged
        np.testing.assert_allclose(results[index].elbos, single.elbos, rtol=1e-9)
        for name in ("recon", "kl"):
            np.testing.assert_allclose(results[index].trace[name], single.trace[name], rtol=1e-9)
        for ours, theirs in zip(together[index].parameters(), model.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_model_of_the_stack_gets_its_own_value_and_gradient(shape):
    models, x = three(shape), IMAGES[:12].view(3, 4, 4, 4)
    stack = side_by_side._stacked(models)
    terms = side_by_side._terms(models[0], stack, x, [gen(seed) for seed in range(3)])
    grads = torch.autograd.grad((terms[1] - terms[0]).sum(), list(stack.values()))
    for index, model in enumerate(models):
        recon, kl = vae.elbo_terms(model, x[index], gen(index))
        torch.testing.assert_close(terms[0][index], recon, rtol=1e-12, atol=0)
        torch.testing.assert_close(terms[1][index], kl, rtol=1e-12, atol=1e-15)
        own = torch.autograd.grad((kl - recon).sum(), list(model.parameters()))
        for ours, theirs in zip(grads, own, strict=True):
            torch.testing.assert_close(
                ours[index], side_by_side._swap(theirs), rtol=1e-9, atol=1e-12
            )


def test_adam_is_the_same_for_a_gradient_with_other_strides():
    weight = torch.randn(3, 4, generator=gen(1))
    twins = [weight.clone().requires_grad_() for _ in range(2)]
    swapped = weight.mT.contiguous().mT.requires_grad_()  # the same numbers, other strides
    plain, turned, other = Adam([twins[0]]), Adam([twins[1]]), Adam([swapped])
    factor = torch.randn(4, 3, generator=gen(2))
    for _ in range(3):
        plain.descend((twins[0] * factor.T.contiguous()).sum(), 0.1)
        turned.descend((twins[1].T * factor).sum(), 0.1)
        other.descend((swapped * factor.T.contiguous()).sum(), 0.1)
    torch.testing.assert_close(twins[1], twins[0])
    torch.testing.assert_close(swapped, twins[0])


def test_interrupting_or_divergence_writes_back_what_was_learned():
    calls = []

    def stops(share):
        calls.append(share)
        if len(calls) == 9:
            raise KeyboardInterrupt
        return 1.0

    models = three("dense")
    before = models[0].encoder[1].weight.clone()
    with pytest.raises(KeyboardInterrupt):
        vae.train_side_by_side(
            models[:1], IMAGES, epochs=3, batch_size=5, lr=0.02, generators=[gen()], betas=[stops]
        )
    assert not torch.equal(models[0].encoder[1].weight, before)
    with pytest.raises(FloatingPointError, match="diverged in epoch"):
        train(three("dense"), lr=1e6, epochs=30)


def test_what_cannot_stand_side_by_side_is_refused():
    models = three("dense")
    with pytest.raises(ValueError, match="models must be different objects"):
        train([models[0]] * 3)
    with pytest.raises(ValueError, match="models must have one architecture"):
        train([*models[:2], three("residual")[0]])
    with pytest.raises(ValueError, match="models must be dense, with Bernoulli pixels"):
        train([vae.VAE(2, (3,), "gaussian", (4, 4)) for _ in range(3)])
    with pytest.raises(ValueError, match="models must be dense, with Bernoulli pixels"):
        train([vae.VAE(2, (3,), image_shape=(4, 4), conv=True) for _ in range(3)])
    with pytest.raises(ValueError, match="generators must be a list with an entry for each model"):
        train(models, generators=[gen()])
    with pytest.raises(ValueError, match="beta must be at least 0"):
        vae.train_side_by_side(
            models[:1], IMAGES, epochs=1, batch_size=5, lr=0.1, generators=[gen()], betas=[-1.0]
        )
