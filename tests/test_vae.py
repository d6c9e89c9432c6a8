"""vae: the laws an ELBO obeys, on models small enough to integrate exactly."""

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp

from vi_helpers import vae
from vi_helpers.vae.training import Adam

PIXELS = (2, 2)


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def tiny(likelihood="bernoulli", **kwargs):
    """One latent, four pixels; a decoder that matters, and a q wide enough to sample from."""
    model = vae.VAE(1, (5,), likelihood, PIXELS, generator=gen(3), **kwargs).double()
    with torch.no_grad():
        for weight in model.decoder.parameters():
            weight *= 1.5
        for weight in model.encoder.parameters():
            weight *= 0.5
    return model


def all_images():
    return np.array(list(itertools.product([0.0, 1.0], repeat=4))).reshape(-1, *PIXELS)


def log_evidence_by_quadrature(model, x):
    """log of the integral of p(z) p(x | z) on a grid, with scipy's own likelihoods."""
    z = np.linspace(-9, 9, 4001)
    with torch.no_grad():
        out = model.decode(torch.tensor(z)[:, None]).numpy()
    if model.likelihood == "bernoulli":
        log_lik = stats.bernoulli.logpmf(x[:, None], 1 / (1 + np.exp(-out)))
    elif model.likelihood == "gaussian":
        log_lik = stats.norm.logpdf(x[:, None], out, math.exp(model.log_noise_std.item()))
    else:
        log_probs = out - logsumexp(out, axis=-1, keepdims=True)
        levels = x.astype(int)[:, None, ..., None]
        log_lik = np.take_along_axis(log_probs[None], levels, axis=-1)[..., 0]
    log_joint = log_lik.sum((-1, -2)) + stats.norm.logpdf(z)
    return logsumexp(log_joint, axis=1) + math.log(z[1] - z[0])


def example_images(likelihood):
    rng = np.random.default_rng(0)
    if likelihood == "categorical":
        return rng.integers(0, 256, (3, *PIXELS)).astype(float)
    return all_images()[[0, 6, 11]] if likelihood == "bernoulli" else rng.normal(size=(3, *PIXELS))


def ppca():
    """A linear model at the optimum of probabilistic PCA, its data and exact log p(x)."""
    rng = np.random.default_rng(5)
    data = rng.normal(size=(200, 5)) @ rng.normal(size=(5, 5)) + rng.normal(size=5)
    centre = data.mean(0)
    values, vectors = np.linalg.eigh(np.cov(data.T, bias=True))
    values, vectors = values[::-1], vectors[:, ::-1]
    noise = values[2:].mean()
    loading = vectors[:, :2] * np.sqrt(values[:2] - noise)  # (D, 2), Tipping and Bishop 1999
    precision = loading.T @ loading + noise * np.eye(2)
    back = np.linalg.solve(precision, loading.T)
    model = vae.VAE(2, (), "gaussian", (5,)).double()
    state = {
        "encoder.1.weight": np.vstack([back, np.zeros((2, 5))]),
        "encoder.1.bias": np.r_[-back @ centre, 0.5 * np.log(noise / np.diag(precision))],
        "decoder.0.weight": loading,
        "decoder.0.bias": centre,
        "log_noise_std": 0.5 * np.log(noise),
    }
    model.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    cov = loading @ loading.T + noise * np.eye(5)
    return model, data, stats.multivariate_normal(centre, cov).logpdf(data)


def test_kl_is_that_of_torch_distributions():
    mean, log_std = torch.randn(7, 3, generator=gen(1)), torch.randn(7, 3, generator=gen(2))
    q = torch.distributions.Normal(mean, log_std.exp())
    expected = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum(-1)
    torch.testing.assert_close(vae.kl_to_prior(mean, log_std), expected)


def test_kl_of_a_known_pair_is_1_306853():
    kl = vae.kl_to_prior(torch.tensor([1.0]), torch.tensor([math.log(2.0)]))
    assert kl.item() == pytest.approx(1.306853, abs=1e-6)


def test_probabilities_of_all_images_sum_to_one():
    model, x = tiny(), all_images()
    assert np.exp(log_evidence_by_quadrature(model, x)).sum() == pytest.approx(1, abs=1e-9)
    estimate = vae.log_evidence_is(model, x, 20_000, gen())
    assert estimate.exp().sum().item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("likelihood", vae.LIKELIHOODS)
def test_elbo_stays_below_log_evidence_and_importance_sampling_reaches_it(likelihood):
    model, x = tiny(likelihood), example_images(likelihood)
    exact = log_evidence_by_quadrature(model, x)
    with torch.no_grad():
        recon, kl = vae.elbo_terms(model, np.repeat(x, 2000, 0), gen())
    elbos = (recon - kl).numpy().reshape(len(x), -1)
    error = elbos.std(1) / math.sqrt(elbos.shape[1])
    assert (elbos.mean(1) < exact + 4 * error).all()
    log_w = vae.log_weights(model, x, 20_000, gen())
    weights = (log_w - log_w.max(0).values).exp()
    slack = 5 * weights.std(0) / weights.mean(0) / math.sqrt(len(weights)) + 1e-9
    reached = vae.log_evidence_is(model, x, 20_000, gen()).numpy()
    assert (np.abs(reached - exact) < slack.numpy()).all()
    # Independent draws in the same cells: more samples, a tighter bound.
    assert (elbos.mean(1) <= reached + 4 * error).all()


@pytest.mark.parametrize("likelihood", vae.LIKELIHOODS)
def test_mean_of_one_sample_elbos_is_the_integral_under_q(likelihood):
    model, x = tiny(likelihood), example_images(likelihood)[:1]
    with torch.no_grad():
        recon, _ = vae.elbo_terms(model, np.repeat(x, 20_000, 0), gen())
        mean, log_std = (part.item() for part in model.encode(torch.tensor(x)))
        z = np.linspace(mean - 9 * math.exp(log_std), mean + 9 * math.exp(log_std), 3001)
        log_pixels = model.log_pixels(torch.tensor(x), model.decode(torch.tensor(z)[:, None]))
    q = stats.norm.pdf(z, mean, math.exp(log_std))
    integral = (q * log_pixels.flatten(1).sum(1).numpy()).sum() * (z[1] - z[0])
    assert recon.mean().item() == pytest.approx(integral, abs=5 * recon.std().item() / 141)


@pytest.mark.parametrize("likelihood", vae.LIKELIHOODS)
def test_log_likelihood_and_its_gradient_are_those_of_torch_distributions(likelihood):
    model = tiny(likelihood)
    x = torch.tensor(example_images(likelihood))
    out = model.decode(torch.randn(3, 1, generator=gen(4)).double()).detach().requires_grad_()
    pixels = {
        "bernoulli": lambda: torch.distributions.Bernoulli(logits=out),
        "categorical": lambda: torch.distributions.Categorical(logits=out),
        "gaussian": lambda: torch.distributions.Normal(out, model.log_noise_std.exp()),
    }[likelihood]()
    expected, ours = pixels.log_prob(x).sum((1, 2)), model.log_likelihood(x, out)
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(model.log_pixels(x, out).sum((1, 2)), expected)
    weights = torch.tensor([1.0, -2.0, 0.5], dtype=torch.double)
    gradients = [torch.autograd.grad(term @ weights, out)[0] for term in (ours, expected)]
    torch.testing.assert_close(*gradients)


def test_importance_weights_are_constant_where_the_encoder_is_exact(monkeypatch):
    model, data, exact = ppca()
    log_w = vae.log_weights(model, data, 3, gen()).numpy()
    np.testing.assert_allclose(log_w, np.tile(exact, (3, 1)), rtol=1e-9)
    monkeypatch.setattr(
        "vi_helpers.vae.bounds.CHUNK_NUMBERS", 10
    )  # two (sample, image) pairs at a time
    np.testing.assert_allclose(vae.log_evidence_is(model, data, 5, gen()), exact, rtol=1e-9)


def test_training_the_linear_model_reaches_the_optimum_of_probabilistic_pca():
    _, data, exact = ppca()
    model = vae.VAE(2, (), "gaussian", (5,), generator=gen(1)).double()
    vae.train_vae(model, data, epochs=150, batch_size=20, lr=2e-2, generator=gen(), progress=False)
    recon, kl = vae.elbo_terms_batched(model, np.repeat(data, 50, 0), gen(2))
    elbo = (recon - kl).mean().item()
    assert exact.mean() - 0.05 < elbo < exact.mean() + 0.01


def test_our_adam_takes_the_steps_of_torch():
    pairs = [[torch.randn(shape, generator=gen(1)) for shape in ((5, 3), (5,))] for _ in range(2)]
    idle = torch.ones(2, requires_grad=True)  # in no loss: it must stay
    ours, theirs = ([part.requires_grad_() for part in pair] for pair in pairs)
    optimizer, peer = Adam([*ours, idle, torch.ones(1)]), torch.optim.Adam(theirs)
    x, target = torch.randn(200, 3, generator=gen(2)), torch.randn(200, 5, generator=gen(3))
    for step in range(300):
        rows, lr = slice(step % 20 * 10, step % 20 * 10 + 10), 0.05 / (1 + step)
        losses = [
            ((x[rows] @ weight.T + bias - target[rows]) ** 2).mean()
            for weight, bias in (ours, theirs)
        ]
        optimizer.descend(losses[0], lr)
        peer.param_groups[0]["lr"] = lr
        peer.zero_grad()
        losses[1].backward()
        peer.step()
        for one, two in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-6, atol=1e-6)
    assert torch.equal(idle, torch.ones(2))


def test_training_does_not_load_the_compiler_of_torch():
    code = """
import sys, torch
from vi_helpers import vae
model, images = vae.VAE(1, (3,), image_shape=(2, 2)), torch.zeros(4, 2, 2)
vae.train_vae(model, images, epochs=1, batch_size=2, lr=0.1, progress=False)
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_fixed_noise_std_is_not_trained():
    model = vae.VAE(1, (), "gaussian", (3,), noise_std=0.5)
    data = np.random.default_rng(0).normal(size=(20, 3))
    vae.train_vae(model, data, epochs=2, batch_size=10, lr=0.1, progress=False)
    assert model.log_noise_std.item() == pytest.approx(math.log(0.5))


def train_tiny(seed=0, model=None, **kwargs):
    model = model or vae.VAE(2, (8,), image_shape=(4, 4), generator=gen(1))
    images = (np.random.default_rng(0).random((50, 4, 4)) < 0.3).astype("float32")
    options = {"epochs": 3, "batch_size": 16, "lr": 1e-2, "progress": False} | kwargs
    return vae.train_vae(model, images, generator=gen(seed), **options)


def test_one_seed_gives_one_result_and_the_global_generator_is_left_alone():
    state = torch.random.get_rng_state()
    first, again, other = train_tiny(), train_tiny(), train_tiny(seed=1)
    assert torch.equal(state, torch.random.get_rng_state())
    for one, two in zip(first.params.parameters(), again.params.parameters(), strict=True):
        assert torch.equal(one, two)
    assert np.array_equal(first.elbos, again.elbos)
    assert not np.array_equal(first.elbos, other.elbos)


def test_trace_has_one_entry_per_epoch_and_adds_up():
    result = train_tiny(test_images=np.zeros((7, 4, 4)))
    assert result.converged and result.n_iter == 3
    assert {len(values) for values in result.trace.values()} == {3}
    np.testing.assert_allclose(result.trace["elbo"], result.trace["recon"] - result.trace["kl"])
    np.testing.assert_allclose(result.elbos, 50 * result.trace["elbo"])
    assert result.trace["test_elbo"][-1] == pytest.approx(
        result.trace["test_recon"][-1] - result.trace["test_kl"][-1]
    )


def test_a_large_beta_collapses_the_posterior_and_a_beta_of_zero_spends_more_nats():
    heavy, free = train_tiny(beta=50.0, epochs=20), train_tiny(beta=0.0, epochs=20)
    assert heavy.trace["kl"][-1] < 0.05 < free.trace["kl"][-1]


def test_a_weight_that_changes_is_asked_for_the_share_of_the_steps_done():
    shares = []
    model = tiny()

    def weight(share):
        shares.append(share)
        return 0.5

    vae.train_vae(model, all_images(), epochs=3, batch_size=4, lr=0.01, beta=weight, progress=False)
    np.testing.assert_allclose(shares[-12:], np.arange(12) / 12)
    twin = tiny()
    vae.train_vae(twin, all_images(), epochs=3, batch_size=4, lr=0.01, beta=0.5, progress=False)
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    with pytest.raises(ValueError, match="beta must be at least 0, got -1"):
        vae.train_vae(
            twin, all_images(), epochs=1, batch_size=4, lr=0.01, progress=False,
            beta=lambda share: -1.0 if share else 1.0,
        )  # fmt: skip


def test_interrupting_keeps_a_usable_partly_trained_model(monkeypatch, capsys):
    calls = []

    def interrupted_report(*args):
        calls.append(args)
        if len(calls) == 6:  # in the second epoch of four batches
            raise KeyboardInterrupt

    monkeypatch.setattr("vi_helpers.vae.training._report", interrupted_report)
    result = train_tiny(epochs=100, test_images=np.zeros((3, 4, 4)))
    assert not result.converged and result.n_iter == 2
    assert "interrupted in epoch 2 of 100" in capsys.readouterr().out
    assert np.isfinite(result.elbos).all() and len(result.trace["test_elbo"]) == 2
    assert torch.isfinite(vae.log_evidence_is(result.params, np.zeros((2, 4, 4)), 3, gen())).all()


def as_a_screen_shows(text):
    """The lines that remain when a carriage return begins a line again."""
    return [line.split("\r")[-1] for line in text.split("\n")]


def test_a_stopped_training_leaves_one_bar_and_then_the_sentence(monkeypatch, capsys):
    record = vae.training._report

    def interrupted_report(bar, epoch, sums):
        record(bar, epoch, sums)
        bar.refresh()
        if epoch == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr("vi_helpers.vae.training._report", interrupted_report)
    train_tiny(epochs=100, progress=True)
    lines = as_a_screen_shows(capsys.readouterr().out)
    assert ["it/s" in line or "s/it" in line for line in lines] == [True, False, False]
    assert lines[1:] == ["interrupted in epoch 2 of 100: the model is partly trained", ""]


def test_a_stop_just_after_an_epoch_counts_that_epoch_once(monkeypatch):
    record = vae.training._record

    def stopped(trace, *args):
        record(trace, *args)
        if len(trace) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("vi_helpers.vae.training._record", stopped)
    result = train_tiny(epochs=100, test_images=np.zeros((3, 4, 4)))
    assert not result.converged and result.n_iter == 2 and len(result.trace["test_elbo"]) == 2


def test_a_second_call_goes_on_from_the_weights_that_the_model_has(monkeypatch):
    record, model = vae.training._report, train_tiny(epochs=1).params

    def stop(*args):
        record(*args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("vi_helpers.vae.training._report", stop)
        stopped = train_tiny(epochs=5, model=model)
    before = [weight.clone() for weight in model.parameters()]
    again = train_tiny(epochs=1, lr=1e-12, model=model)
    assert not stopped.converged and again.params is model
    for now, then in zip(model.parameters(), before, strict=True):
        torch.testing.assert_close(now, then, rtol=0, atol=1e-9)


def test_progress_bar_shows_reconstruction_and_kl_on_stdout(capsys):
    train_tiny(progress=True)
    shown = capsys.readouterr()
    assert "recon -" in shown.out and "kl " in shown.out and shown.err == ""


def test_checkpoint_brings_back_the_same_model(tmp_path):
    model = train_tiny().params
    vae.save_checkpoint(model, tmp_path / "model.pt")
    blank = vae.VAE(2, (8,), image_shape=(4, 4))
    loaded = vae.load_checkpoint(blank, tmp_path / "model.pt")
    x = np.ones((2, 4, 4))
    with torch.no_grad():
        for one, two in zip(
            vae.elbo_terms(model, x, gen()), vae.elbo_terms(loaded, x, gen()), strict=True
        ):
            assert torch.equal(one, two)
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt"]


def test_a_failed_save_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "model.pt"
    vae.save_checkpoint(tiny(), path)
    before = path.read_bytes()

    def full_disk(_, file):
        file.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="no space"):
        vae.save_checkpoint(tiny(), path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_a_checkpoint_of_numpy_values_loads_too(tmp_path):
    path, options = tmp_path / "model.pt", {"likelihood": np.str_("gaussian")}
    model = vae.VAE(np.int64(2), (8,), image_shape=(4, 4), noise_std=np.float32(0.5), **options)
    vae.save_checkpoint(model, path)
    again = vae.VAE(2, (8,), "gaussian", (4, 4), noise_std=0.5, generator=gen(5))
    vae.load_checkpoint(again, path)
    for one, two in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, two)


def test_a_damaged_checkpoint_is_a_value_error(tmp_path):
    path, model = tmp_path / "model.pt", tiny()
    vae.save_checkpoint(model, path)
    whole = path.read_bytes()
    for damaged in (b"", whole[:-200], whole[: len(whole) // 2], whole[200:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="path must be a checkpoint"):
            vae.load_checkpoint(tiny(), path)
    state = dict(list(model.state_dict().items())[1:])
    for wrong in (state, {**model.state_dict(), "extra": torch.zeros(1)}):
        torch.save({"architecture": model.architecture, "state": wrong}, path)
        with pytest.raises(ValueError, match="path must hold the weights"):
            vae.load_checkpoint(tiny(), path)
    with pytest.raises(OSError):
        vae.load_checkpoint(tiny(), tmp_path)


def test_foreign_checkpoints_are_refused(tmp_path):
    path = tmp_path / "model.pt"
    vae.save_checkpoint(vae.VAE(3, (8,)), path)
    with pytest.raises(ValueError, match="latent_dim 3 instead of 2"):
        vae.load_checkpoint(vae.VAE(2, (8,)), path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match="path must be a checkpoint"):
        vae.load_checkpoint(vae.VAE(2, (8,)), path)
    torch.save({"architecture": print, "state": {}}, path)  # code, which weights_only refuses
    with pytest.raises(ValueError, match="path must be a checkpoint"):
        vae.load_checkpoint(vae.VAE(2, (8,)), path)
    with pytest.raises(FileNotFoundError):
        vae.load_checkpoint(vae.VAE(2, (8,)), tmp_path / "nowhere.pt")


@pytest.mark.parametrize("likelihood", vae.LIKELIHOODS)
@pytest.mark.parametrize("side", [8, 28])
def test_convolutional_pair_has_the_shapes_of_the_dense_one(likelihood, side):
    x = np.ones((2, side, side))
    for conv in (False, True):
        model = vae.VAE(3, (4, 6), likelihood, (side, side), conv=conv)
        recon, kl = vae.elbo_terms(model, x, gen())
        assert recon.shape == kl.shape == (2,)
        assert model.mean_image(torch.zeros(5, 2, 3)).shape == (5, 2, side, side)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latent_dim": 0}, "latent_dim must be an integer >= 1, got 0"),
        ({"hidden_dims": (8, 0)}, "hidden_dims must be an integer >= 1, got 0"),
        ({"likelihood": "poisson"}, "likelihood must be one of 'bernoulli'.*'poisson'"),
        ({"hidden_dims": 8}, "hidden_dims must be a sequence of integers >= 1, got 8"),
        ({"image_shape": (0, 4)}, "image_shape must be an integer >= 1"),
        ({"generator": 0}, "generator must be a torch.Generator, got int"),
        ({"image_shape": (6, 4), "conv": True, "hidden_dims": (2, 2)}, "a multiple of 4"),
        ({"likelihood": "gaussian", "noise_std": -1.0}, "noise_std must be positive"),
    ],
)
def test_impossible_architectures_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        vae.VAE(**({"latent_dim": 2, "hidden_dims": (8,)} | change))


@pytest.mark.parametrize(
    ("likelihood", "x", "message"),
    [
        ("bernoulli", np.zeros((2, 3, 3)), r"x must have shape \(B, 2, 2\), got \(2, 3, 3\)"),
        ("bernoulli", np.zeros((2, 2)), "x must have shape"),
        ("bernoulli", np.zeros((0, 2, 2)), "x must have shape"),
        ("bernoulli", np.full((1, 2, 2), 255), r"in \[0, 1\], got values from 255 to 255"),
        ("bernoulli", np.full((1, 2, 2), np.nan), "x must be finite"),
        ("bernoulli", "an image", "x must be real numbers"),
        ("categorical", np.full((1, 2, 2), 256), r"in \[0, 255\]"),
        ("categorical", np.full((1, 2, 2), 0.5), "whole grey levels"),
        ("gaussian", np.full((1, 2, 2), np.inf), "x must be finite"),
    ],
)
def test_impossible_images_are_refused(likelihood, x, message):
    for use in (vae.elbo_terms, lambda model, x: vae.log_evidence_is(model, x, 2)):
        with pytest.raises(ValueError, match=message):
            use(tiny(likelihood), x)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs must be"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"lr": -1.0}, "lr must be positive"),
        ({"beta": -0.1}, "beta must be at least 0"),
        ({"test_images": np.zeros((3, 5, 5))}, "test_images must have shape"),
    ],
)
def test_impossible_training_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        train_tiny(**change)


def test_divergence_is_reported():
    with pytest.raises(FloatingPointError, match="smaller lr"):
        train_tiny(lr=1e6, epochs=20)


# Residual layers and the start at the pixel means


@pytest.mark.parametrize("hidden", [(6,), (6, 6), (8, 6, 6, 6)])
def test_residual_layers_whose_weights_are_zero_change_nothing(hidden):
    """h + silu(0) = h: each network is then the same one without those layers."""
    deep = vae.VAE(3, hidden, image_shape=(4, 4), residual=True)
    plain = vae.VAE(3, tuple(dict.fromkeys(hidden)), image_shape=(4, 4))
    with torch.no_grad():
        for network, short in ((deep.encoder, plain.encoder), (deep.decoder, plain.decoder)):
            kept = []
            for module in network:
                if hasattr(module, "linear"):
                    module.linear.weight.zero_()
                    module.linear.bias.zero_()
                else:
                    kept += list(module.parameters())
            for ours, theirs in zip(short.parameters(), kept, strict=True):
                ours.copy_(theirs)
        x, z = torch.rand(5, 4, 4), torch.randn(5, 3)
        for ours, theirs in zip(deep.encode(x), plain.encode(x), strict=True):
            torch.testing.assert_close(ours, theirs)
        torch.testing.assert_close(deep.decode(z), plain.decode(z))


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_starting_at_the_pixel_means_makes_the_decoder_without_z_the_mean_image(likelihood):
    images = (torch.rand(400, 4, 3, generator=torch.Generator().manual_seed(1)) < 0.3).float()
    model = vae.VAE(2, (5,), likelihood, (4, 3)).start_at_pixel_means(images)
    with torch.no_grad():
        model.decoder[-1].weight.zero_()
        mean = model.mean_image(torch.zeros(1, 2))[0]
    torch.testing.assert_close(mean, images.mean(0), atol=2 / 400, rtol=0)


def test_starting_at_pixel_means_and_residual_layers_refuse_other_networks():
    images = torch.zeros(2, 4, 4)
    with pytest.raises(ValueError, match="model must be dense"):
        vae.VAE(2, (5,), "categorical", (4, 4)).start_at_pixel_means(images)
    with pytest.raises(ValueError, match="model must be dense"):
        vae.VAE(2, (5,), image_shape=(4, 4), conv=True).start_at_pixel_means(images)
    with pytest.raises(ValueError, match="residual must be False"):
        vae.VAE(2, (5,), image_shape=(4, 4), conv=True, residual=True)
