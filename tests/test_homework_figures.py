"""The figures of the prediction tasks are drawn from packed numbers: here they are made anew."""

import re

import numpy as np
import pytest
import torch
from homework import tables
from scipy import special, stats

from vi_helpers import diagnostics


def packed_numbers(name, grade_id, *wanted):
    """The array `numbers` of a locked cell, or those of these names, without its drawing."""
    (source,) = (
        cell["source"]
        for cell in tables.cells_of(name)
        if cell["metadata"]["nbgrader"]["grade_id"] == grade_id
    )
    names = {}
    exec("import base64, zlib\nimport numpy as np\n" + source.split("\nfig, ")[0], names)
    return [names[array] for array in wanted] if wanted else names["numbers"]


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


def answers(name, *grade_ids):
    """What the set-up and the model answers in these cells define."""
    cells = {c["metadata"]["nbgrader"]["grade_id"]: c["source"] for c in tables.cells_of(name)}
    names = {}
    for grade_id in (f"{name}-00-setup", *grade_ids):
        exec(re.sub(r"sys.modules.*", "", cells[grade_id]), names)
    return names


def test_hw1s_figure_shows_the_gap_and_the_width_that_quadrature_gives():
    gaps, ratios = packed_numbers("hw1", "hw1-06a-show", "gaps", "std_ratios")
    model = answers("hw1", "hw1-04b-answer", "hw1-05b-answer")
    z = np.linspace(-12, 6, 200_001)
    for count, gap, ratio in zip(2 ** np.arange(7), gaps, ratios, strict=True):
        x = np.full(count, 3)
        log_joint = stats.norm.logpdf(z, 0, 2) + count * stats.poisson.logpmf(3, np.exp(z))
        log_px = special.logsumexp(log_joint) + np.log(z[1] - z[0])
        posterior = np.exp(log_joint - log_px) * (z[1] - z[0])
        std = np.sqrt(posterior @ (z - posterior @ z) ** 2)
        mean_q, std_q = model["fit_q"](x, 0, 2)
        exact = log_px - model["elbo"](x, mean_q, std_q, 0, 2), std_q / std
        np.testing.assert_allclose((gap, ratio), exact, rtol=0.01)


def em_by_the_answers(x, noise, weights, means, variances, num_iters):
    """Log-likelihoods, and the means at each, by hw2's model answers to tasks 1 and 2."""
    model, noise = answers("hw2", "hw2-01b-answer", "hw2-02b-answer"), np.full(len(x), noise)
    trace, path = [], []
    for _ in range(num_iters + 1):
        with np.errstate(all="ignore"):
            log_resp, log_lik = model["e_step"](x, noise, weights, means, variances)
            trace.append(log_lik if np.isfinite(log_lik) else np.nan)
            path.append(means)
            weights, means, variances = model["m_step"](
                x, noise, np.exp(log_resp), means, variances
            )
    return np.array(trace), np.array(path)


def test_hw2s_figure_of_three_starts_and_the_numbers_of_its_key_are_what_em_gives():
    rng = np.random.default_rng(5)
    values = np.where(rng.random(40) < 0.7, 1.5, -1.5) + 0.6 * rng.normal(size=40)
    errors = rng.normal(size=40)
    distances = np.abs(values[:, None] - values) + np.diag(np.full(40, np.inf))
    lonely = distances.min(axis=1).argmax()
    shown = packed_numbers("hw2", "hw2-04a-show", "without_bars", "with_bars")
    even, one = np.full(2, 0.5), np.ones(2)
    for noise, curves, factor, best in zip(
        (0, 0.5), shown, (1.22, 1.28), (-57.5, -63.4), strict=True
    ):
        x = values + noise * errors
        spike = np.array([x[lonely], x.mean()]), np.array([1e-4, x.var()])
        starts = (0 * one, one), (np.array([-0.01, 0.01]), one), spike
        for (means, variances), curve in zip(starts, curves, strict=True):
            trace, path = em_by_the_answers(x, noise, even, means, variances, 24)
            np.testing.assert_allclose(curve, trace, atol=0.051)
            if means is starts[1][0]:
                apart = np.diff(path, axis=1)[:, 0]
                np.testing.assert_allclose(apart[5:9] / apart[4:8], factor, atol=0.006)
                ends = [
                    em_by_the_answers(x, noise, even, np.array(m), v, 300)[0][-1]
                    for m, v in ((means, one), ([-1.5, 1.5], one), ([-2.0, 0.0], one / 2))
                ]
                assert max(ends) == pytest.approx(best, abs=0.051) == ends[0]
    trace, path = em_by_the_answers(x, noise, even, *spike, 5010)
    assert abs(path[24, 0] - path[0, 0]) == pytest.approx(0.005, abs=5e-4)
    assert trace[5010] > trace[5000] > trace[24] + 5


def test_hw2s_figure_of_the_gap_shows_what_brute_force_gives():
    cosines, gaps = packed_numbers("hw2", "hw2-08a-show", "cosines", "gaps")
    signs, rng = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]]), np.random.default_rng(7)
    for cosine, gap in zip(cosines, gaps, strict=True):
        sources = np.array([[1, 0], [cosine, np.sqrt(1 - cosine**2)]])
        x = rng.choice(signs, 4000) @ sources + np.sqrt(0.5) * rng.normal(size=(4000, 2))
        # Up to what the states share, log p(x, z) is a z_1 + b z_2 - c z_1 z_2.
        a, b, c = 2 * x @ sources[0], 2 * x @ sources[1], 2 * cosine
        log_joint = np.stack([s * a + t * b - c * s * t for s, t in signs])
        best = np.full(4000, -np.inf)
        for start in (-0.9, 0.0, 0.9):
            m = np.full(4000, start)
            for _ in range(500):
                n = np.tanh(b - c * m)
                m = np.tanh(a - c * n)
            entropy = sum(stats.entropy([(1 + t) / 2, (1 - t) / 2]) for t in (m, n))
            best = np.maximum(best, a * m + b * n - c * m * n + entropy)
        found = special.logsumexp(log_joint, axis=0) - best
        error = found.std() / np.sqrt(4000)
        assert gap == pytest.approx(found.mean(), abs=5 * error + 1e-4)


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
