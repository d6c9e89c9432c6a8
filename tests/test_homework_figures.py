"""The figures of the prediction tasks are drawn from packed numbers: here they are made anew."""

import re

import numpy as np
import pytest
import torch
from homework import tables
from scipy import stats

from vi_helpers import diagnostics


def packed_numbers(name, grade_id):
    """The array `numbers` of a locked cell, without its drawing."""
    (source,) = (
        cell["source"]
        for cell in tables.cells_of(name)
        if cell["metadata"]["nbgrader"]["grade_id"] == grade_id
    )
    names = {}
    exec("import base64, zlib\nimport numpy as np\n" + source.split("\nfig, ")[0], names)
    return names["numbers"]


def correlated(rho):
    """Draws of the best factorised q, and the log weights."""
    p, std = stats.multivariate_normal([0, 0], [[1, rho], [rho, 1]]), np.sqrt(1 - rho**2)

    def log_weights(rng, count):
        z = std * rng.normal(size=(count, 2))
        return p.logpdf(z) - stats.norm.logpdf(z, 0, std).sum(1)

    return log_weights


def two_modes(rng, count):
    z = rng.normal(7, 1.2, size=count)
    log_p = np.logaddexp(stats.norm.logpdf(z, -7), stats.norm.logpdf(z, 7)) - np.log(2)
    return log_p - stats.norm.logpdf(z, 7, 1.2)


def too_wide(rng, count):
    z = rng.normal(0, 2, size=count)
    return stats.norm.logpdf(z) - stats.norm.logpdf(z, 0, 2)


def test_hw3s_figure_of_four_fits_shows_what_their_weights_give():
    shown, rng = packed_numbers("hw3", "hw3-06a-show"), np.random.default_rng(1)
    for column, fit in zip(
        shown.T, (correlated(0.5), correlated(0.9), two_modes, too_wide), strict=True
    ):
        runs = [fit(rng, 4000) for _ in range(20)]
        assert np.mean([diagnostics.pareto_k(run) for run in runs]) == pytest.approx(
            column[0], abs=0.15
        )
        share = np.mean([diagnostics.effective_sample_size(run) / 4000 for run in runs])
        assert share == pytest.approx(column[1], rel=0.15, abs=0.02)  # k = 1/2: heavy
        weights = np.exp([fit(rng, 4000) for _ in range(300)])
        error = weights.std(1, ddof=1) / weights.mean(1) / np.sqrt(4000)
        held = np.abs(np.log(weights.mean(1))) < 2 * error
        assert held.mean() == pytest.approx(column[2], abs=4 * np.sqrt(0.25 / 300))


def test_hw4s_figure_of_latent_dimensions_shows_what_the_model_answer_gives():
    """By another course of training than the figure's: to 0.6 nats, and four dimensions."""
    shown = dict(zip((1, 2, 4, 8, 16, 32), packed_numbers("hw4", "hw4-07a-show").T, strict=True))
    cells = {c["metadata"]["nbgrader"]["grade_id"]: c["source"] for c in tables.cells_of("hw4")}
    setup = re.sub(r"sys.modules.*", "", cells["hw4-00-setup"])
    answers = cells["hw4-04b-answer"] + "\n" + cells["hw4-05b-answer"]
    for old, new in (("(latent_dim, 64)", "(latent_dim, 100)"), ("range(15)", "range(80)"),
                     ("(64, 64), nn.Tanh(), nn.Linear(64,", "(64, 100), nn.Tanh(), nn.Linear(100,"),
                     ("nn.Tanh(), nn.Linear(64, 64)", "nn.Tanh(), nn.Linear(100, 64)"),
                     ("make_vae(6, seed)", "make_vae(SIZE, seed)"),
                     ("len(batch), 6)", "len(batch), SIZE)")):  # fmt: skip
        assert answers.count(old) == 1
        answers = answers.replace(old, new)
    for size in (1, 4, 32):
        names = {"SIZE": size}
        exec(setup + "\n" + answers, names)
        train, test, model = names["TRAIN"], names["TEST"], names["train_vae"](names["TRAIN"], 0)
        with torch.no_grad():
            elbos = [
                names["elbo"](model, images, torch.randn(len(images), size)).mean().item()
                for images in (test, train)
            ]
            mean, log_std = names["encode"](model, test)
            z = mean + torch.exp(log_std) * torch.randn(200, *mean.shape)
            logits = names["decode"](model, z.flatten(0, 1)).unflatten(0, z.shape[:2])
            log_lik = (torch.tensor(test) * logits - torch.nn.functional.softplus(logits)).sum(-1)
        arrays = (part.double().numpy() for part in (log_lik, z, mean, log_std))
        bound = names["iw_bound"](*arrays).mean()
        np.testing.assert_allclose([elbos[0], bound, elbos[1]], shown[size][:3], atol=0.6)
        assert int((mean.var(0) > 0.01).sum()) == pytest.approx(shown[size][3], abs=4)
