"""Answers to the exercises of notebook 11: each wrong one is refused, each right one accepted."""

import math

import numpy as np
import torch
from scipy.special import logsumexp
from torch import nn
from torch.nn import functional

from vi_helpers import vae

# 11.1 a whole VAE


def networks(pixels, latents, width=100):
    encoder = nn.Sequential(
        nn.Flatten(), nn.Linear(pixels, width), nn.SiLU(), nn.Linear(width, 2 * latents)
    )
    decoder = nn.Sequential(nn.Linear(latents, width), nn.SiLU(), nn.Linear(width, pixels))
    return encoder, decoder


def kl_right(mean, log_std):
    return 0.5 * (mean**2 + (2 * log_std).exp() - 1 - 2 * log_std).sum(1)


def kl_as_printed(mean, log_std):
    return -0.5 * (2 * log_std - (2 * log_std).exp() + mean**2 + 1).sum(1)


def fit(images, latents, seed, *, kl_of=kl_right, noise=1.0, scale=1.0, sigmoid=False, epochs=30):
    """A plain VAE, with the places where one goes wrong as options; small steps at the end."""
    torch.manual_seed(seed)
    encoder, decoder = networks(images[0].numel(), latents)
    weights = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(weights, lr=3e-3, fused=True)
    for epoch in range(epochs + epochs // 2):
        if epoch == epochs:
            optimizer.param_groups[0]["lr"] = 3e-4
        for batch in torch.randperm(len(images)).split(50):
            x = images[batch].flatten(1)
            mean, log_std = encoder(x).chunk(2, dim=1)
            z = mean + noise * log_std.exp() * torch.randn(mean.shape)
            logits = decoder(z).sigmoid() if sigmoid else decoder(z)
            loss = functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
            loss = (scale * loss + kl_of(mean, log_std)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    shape = images.shape[1:]
    return (lambda x: encoder(x).chunk(2, dim=1)), (lambda z: decoder(z).unflatten(1, shape))


def by_the_package(images, latents, seed):
    model = vae.VAE(latents, (100,), image_shape=tuple(images.shape[1:]))
    model.start_at_pixel_means(images)
    vae.train_vae(model, images, epochs=40, batch_size=50, lr=4e-3, progress=False, device="cpu")
    return model.encode, model.decode


def by_log_variance(images, latents, seed):
    """Bare tensors, log variances inside, and a list comes back."""
    source, pixels, width = torch.Generator().manual_seed(seed), images[0].numel(), 80
    sizes = [(pixels, width), (width, latents), (width, latents), (latents, width), (width, pixels)]
    weights = [torch.randn(a, b, generator=source) / a**0.5 for a, b in sizes]
    biases = [torch.zeros(b) for _, b in sizes]
    for tensor in weights + biases:
        tensor.requires_grad_()

    def encode(x):
        h = torch.tanh(x.reshape(len(x), -1) @ weights[0] + biases[0])
        return h @ weights[1] + biases[1], h @ weights[2] + biases[2]

    def decode(z):
        return torch.tanh(z @ weights[3] + biases[3]) @ weights[4] + biases[4]

    optimizer = torch.optim.Adam(weights + biases, lr=4e-3, fused=True)
    for step in range(1400):
        optimizer.param_groups[0]["lr"] = 4e-3 if step < 1000 else 4e-4
        x = images[torch.randint(len(images), (64,), generator=source)]
        mean, log_var = encode(x)
        logits = decode(mean + (log_var / 2).exp() * torch.randn(mean.shape, generator=source))
        flat = x.reshape(len(x), -1)
        recon = (flat * logits - functional.softplus(logits)).sum(1)
        kl = -0.5 * (1 + log_var - mean**2 - log_var.exp()).sum(1)
        optimizer.zero_grad()
        (kl - recon).mean().backward()
        optimizer.step()
    return [
        lambda x: (encode(x)[0], encode(x)[1] / 2),
        lambda z: decode(z).reshape(-1, *images.shape[1:]),
    ]


def changed(encode=None, decode=None):
    """The right answer with one of its two functions spoilt afterwards."""

    def answer(images, latents, seed):
        functions = list(fit(images, latents, seed, epochs=20))
        if encode:
            right = functions[0]
            functions[0] = lambda x: encode(*right(x))
        if decode:
            plain = functions[1]
            functions[1] = lambda z: decode(plain(z))
        return tuple(functions)

    return answer


def ignores_the_image(images, latents, seed):
    encode, decode = fit(images, latents, seed, epochs=10)
    return (lambda x: [0 * part for part in encode(x)]), decode


# 11.3


def loop_bound(log_w):
    out = []
    for column in log_w.T:
        top = max(column)
        out.append(top + math.log(sum(math.exp(v - top) for v in column) / len(column)))
    return out


def shifted(log_w, shift):
    with np.errstate(all="ignore"):
        return np.log(np.exp(log_w - shift).mean(0)) + shift


# 11.4


def with_another_prior(recon, log_prior, log_std):
    return recon + log_prior + (log_std + 0.5 * np.log(2 * np.pi * np.e)).sum(-1)


HALF_LOG_2PIE = 0.5 * np.log(2 * np.pi * np.e)


def kl_units(mean, log_std):
    return 0.5 * (mean**2 + np.exp(2 * log_std) - 1 - 2 * log_std).mean(0)


EXERCISES = {
    "11.1": {
        "check": "check_vae",
        "wrong": {
            "no KL": lambda x, k, s: fit(x, k, s, kl_of=lambda m, ls: 0 * m.sum(1), epochs=20),
            "KL as printed": lambda x, k, s: fit(x, k, s, kl_of=kl_as_printed, epochs=20),
            "KL's sign": lambda x, k, s: fit(
                x, k, s, kl_of=lambda m, ls: -kl_right(m, ls).clamp(max=50), epochs=20
            ),
            "half the KL": lambda x, k, s: fit(x, k, s, kl_of=lambda m, ls: 0.5 * kl_right(m, ls)),
            "0.7 of the KL": lambda x, k, s: fit(
                x, k, s, kl_of=lambda m, ls: 0.7 * kl_right(m, ls)
            ),
            "0.9 of the KL": lambda x, k, s: fit(
                x, k, s, kl_of=lambda m, ls: 0.9 * kl_right(m, ls)
            ),
            "1.1 of the KL": lambda x, k, s: fit(
                x, k, s, kl_of=lambda m, ls: 1.1 * kl_right(m, ls)
            ),
            "twice the KL": lambda x, k, s: fit(x, k, s, kl_of=lambda m, ls: 2 * kl_right(m, ls)),
            "no noise": lambda x, k, s: fit(x, k, s, noise=0.0, epochs=20),
            "mean over the pixels": lambda x, k, s: fit(x, k, s, scale=1 / 50, epochs=20),
            "sigmoid twice": lambda x, k, s: fit(x, k, s, sigmoid=True, epochs=20),
            "hardly trained": lambda x, k, s: fit(x, k, s, epochs=1),
            "std for log std": changed(encode=lambda mean, log_std: (mean, log_std.exp())),
            "log variance for log std": changed(encode=lambda mean, log_std: (mean, 2 * log_std)),
            "probabilities for logits": changed(decode=torch.sigmoid),
            "flat logits": changed(decode=lambda logits: logits.flatten(1)),
            "only the mean": changed(encode=lambda mean, log_std: mean),
            "ignores the image": ignores_the_image,
            "for 28 × 28 only": lambda x, k, s: fit(x.reshape(-1, 28, 28), k, s),
            "forgotten return": lambda x, k, s: None,
        },
        "right": {
            "plain": fit,
            "by the package": by_the_package,
            "bare tensors, log variances": by_log_variance,
        },
    },
    "11.2": {
        "check": "check_units",
        "wrong": {
            "as printed": lambda m, ls: -0.5 * (2 * ls - np.exp(2 * ls) + m**2 + 1).mean(0),
            "variance for deviation": lambda m, ls: 0.5 * (m**2 + np.exp(ls) - 1 - ls).mean(0),
            "no half": lambda m, ls: 2 * kl_units(m, ls),
            "sum over images": lambda m, ls: kl_units(m, ls) * len(m),
            "mean over units": lambda m, ls: kl_units(m.T, ls.T),
            "all units together": lambda m, ls: kl_units(m, ls).sum(),
            "KL of the mean q": lambda m, ls: kl_units(m.mean(0)[None], ls.mean(0)[None]),
            "the other direction": lambda m, ls: (
                ls + 0.5 * (1 + m**2) * np.exp(-2 * ls) - 0.5
            ).mean(0),
            "forgotten return": lambda m, ls: None,
        },
        "right": {
            "vectorised": kl_units,
            "a loop, a list": lambda m, ls: [
                float(
                    np.mean(
                        [
                            0.5 * (a * a + math.exp(2 * b) - 1) - b
                            for a, b in zip(*pair, strict=True)
                        ]
                    )
                )
                for pair in zip(m.T, ls.T, strict=True)
            ],
            "torch": lambda m, ls: torch.distributions.kl_divergence(
                torch.distributions.Normal(torch.tensor(m), torch.tensor(ls).exp()),
                torch.distributions.Normal(torch.zeros(m.shape).double(), 1.0),
            ).mean(0),
            "float32": lambda m, ls: kl_units(m, ls).astype(np.float32),
        },
    },
    "11.3": {
        "check": "check_bound",
        "wrong": {
            "the ELBO": lambda w: w.mean(0),
            "k forgotten": lambda w: logsumexp(w, axis=0),
            "underflows": lambda w: np.log(np.exp(w).mean(0)),
            "global shift": lambda w: np.log(np.exp(w - w.max()).mean(0)) + w.max(),
            "1000 hard-coded": lambda w: logsumexp(w, axis=0) - np.log(1000),
            "other axis": lambda w: logsumexp(w, axis=1) - np.log(w.shape[1]),
            "the number of images": lambda w: logsumexp(w, axis=0) - np.log(w.shape[1]),
            "the largest weight": lambda w: w.max(0),
            "shift of 80": lambda w: np.log(np.exp(w + 80).mean(0)) - 80,
            "mean over images": lambda w: (logsumexp(w, axis=0) - np.log(len(w))).mean(),
            "shift by the mean": lambda w: shifted(w, w.mean(0)),
            "shift by the smallest": lambda w: shifted(w, w.min(0)),
            "shift by the median": lambda w: shifted(w, np.median(w, axis=0)),
            "shift by the first": lambda w: shifted(w, w[0]),
            "shift by the last": lambda w: shifted(w, w[-1]),
            "shift not added back": lambda w: np.log(np.exp(w - w.max(0)).mean(0)),
            "forgotten return": lambda w: None,
        },
        "right": {
            "scipy": lambda w: logsumexp(w, axis=0) - np.log(len(w)),
            "torch": lambda w: torch.logsumexp(torch.tensor(w), 0) - math.log(len(w)),
            "a loop, a list": loop_bound,
            "with weights": lambda w: logsumexp(w, axis=0, b=1 / w.shape[0]),
        },
    },
    "11.4": {
        "check": "check_new_prior",
        "wrong": {
            "entropy forgotten": lambda r, p, ls: r + p,
            "entropy subtracted": lambda r, p, ls: 2 * (r + p) - with_another_prior(r, p, ls),
            "prior subtracted": lambda r, p, ls: with_another_prior(r, -p, ls),
            "the constant forgotten": lambda r, p, ls: r + p + ls.sum(-1),
            "one constant for all units": lambda r, p, ls: r + p + ls.sum(-1) + HALF_LOG_2PIE,
            "log 2π for log 2πe": lambda r, p, ls: with_another_prior(r, p, ls - 0.5),
            "std for log std": lambda r, p, ls: with_another_prior(r, p, np.exp(ls)),
            "mean over units": lambda r, p, ls: r + p + (ls + HALF_LOG_2PIE).mean(-1),
            "sum over images": lambda r, p, ls: r + p + (ls + HALF_LOG_2PIE).sum(),
            "mean over images": lambda r, p, ls: with_another_prior(r, p, ls).mean(),
            "forgotten return": lambda r, p, ls: None,
        },
        "right": {
            "vectorised": with_another_prior,
            "torch": lambda r, p, ls: (
                torch.tensor(r)
                + torch.tensor(p)
                + torch.distributions.Normal(0.0, torch.tensor(ls).exp()).entropy().sum(1)
            ),
            "a loop, a list": lambda r, p, ls: [
                float(a + b + sum(v + 1.4189385332046727 for v in row))
                for a, b, row in zip(r, p, ls, strict=True)
            ],
        },
    },
    "11.5": {
        "check": "check_nats",
        "wrong": {
            "bits": lambda b, h, w, c: b * h * w * c,
            "divided": lambda b, h, w, c: b * h * w * c / np.log(2),
            "colours forgotten": lambda b, h, w, c: b * np.log(2) * h * w,
            "one pixel": lambda b, h, w, c: b * np.log(2),
            "32 × 32 × 3 only": lambda b, h, w, c: b * np.log(2) * 3072,
            "log10": lambda b, h, w, c: b * np.log10(2) * h * w * c,
            "sign": lambda b, h, w, c: -b * np.log(2) * h * w * c,
            "square images only": lambda b, h, w, c: b * np.log(2) * h * h * c,
            "forgotten return": lambda b, h, w, c: None,
        },
        "right": {
            "numpy": lambda b, h, w, c: b * np.log(2) * h * w * c,
            "math": lambda b, h, w, c: (
                math.log(2 ** (b * h)) * w * c if b * h < 900 else b * h * math.log(2) * w * c
            ),
            "by the inverse": lambda b, h, w, c: b * h * w * c / math.log2(math.e),
            "rounded to a tenth of a percent of a percent": lambda b, h, w, c: float(
                f"{b * 0.69314718 * h * w * c:.6g}"
            ),
        },
    },
}
