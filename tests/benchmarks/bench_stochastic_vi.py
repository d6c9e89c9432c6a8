"""fit_stochastic against Pyro's SVI on one logistic regression, side by side in one run.

Run by hand on an idle machine, with pyro-ppl installed:

    python tests/benchmarks/bench_stochastic_vi.py

Prints, for three seeds, the CPU seconds until q is within 0.05 nats of the optimum that quadrature
finds, the steps that this took, and the ratio of the seconds. Both have a full covariance from the
same start, Adam with the same step size, 8 samples a step, float32 and one thread. Pyro's q is
looked at every 50 steps, with the clock stopped, and its set-up is not counted. fit_stochastic lets
the step fall over a run of given length, so it is run anew with 50, 100, 150, ... steps, and the
shortest run that gets there counts, its check of the input and its last evaluation included.
"""

import itertools
import math
import sys
import time

import numpy as np
import torch
from torch import nn

from vi_helpers import logistic
from vi_helpers.stochastic_vi import FullNormal, fit_stochastic

CASES = ((40, 3), (500, 10))
NUM_SAMPLES, LR, CHUNK, CLOSE, MOST_STEPS = 8, 0.02, 50, 0.05, 3000


def make_case(N, D, rng):
    X = rng.standard_normal((N, D))
    y = (rng.random(N) < 1 / (1 + np.exp(-X @ rng.standard_normal(D)))).astype(float)
    return X, y


def run_ours(signed, dim, seed):
    """Yield (seconds, steps, mean, cov) of longer and longer fits."""

    def log_joint(theta):
        log_prior = -0.125 * (theta**2).sum(1)  # N(0, 2²), without its constant
        return log_prior + nn.functional.logsigmoid(theta @ signed.T).sum(1)

    for num_steps in range(CHUNK, MOST_STEPS + 1, CHUNK):
        generator = torch.Generator().manual_seed(seed)
        started, q = time.process_time(), FullNormal(dim)
        fit_stochastic(
            log_joint, q, num_steps=num_steps, num_samples=NUM_SAMPLES, lr=LR,
            generator=generator, progress=False,
        )  # fmt: skip
        yield time.process_time() - started, num_steps, q.mean.detach().numpy(), q.cov.numpy()


def run_pyro(signed, dim, seed):
    """Yield (seconds so far, steps, mean, cov) after every CHUNK steps."""
    import pyro
    from pyro.infer import SVI, Trace_ELBO
    from pyro.infer.autoguide import AutoMultivariateNormal

    def model():
        theta = pyro.sample("theta", pyro.distributions.Normal(torch.zeros(dim), 2.0).to_event(1))
        pyro.factor("data", nn.functional.logsigmoid(theta @ signed.T).sum(-1))

    pyro.set_rng_seed(seed)
    pyro.clear_param_store()
    guide = AutoMultivariateNormal(model, init_scale=1.0)
    loss = Trace_ELBO(num_particles=NUM_SAMPLES, vectorize_particles=True, max_plate_nesting=0)
    svi, seconds = SVI(model, guide, pyro.optim.Adam({"lr": LR}), loss), 0.0
    svi.step()  # sets the guide up
    for num_steps in range(CHUNK, MOST_STEPS + 1, CHUNK):
        started = time.process_time()
        for _ in range(CHUNK):
            svi.step()
        seconds += time.process_time() - started
        q = guide.get_posterior()
        yield seconds, num_steps, q.mean.detach().numpy(), q.covariance_matrix.detach().numpy()


def until_close(states, X, y, best):
    for seconds, num_steps, mean, cov in states:
        cov = (cov.astype(float) + cov.T) / 2  # float32 rounds the two halves differently
        if best - logistic.elbo(X, y, 2.0, mean.astype(float), cov) < CLOSE:
            return seconds, num_steps
    return math.inf, MOST_STEPS


def compare():
    torch.set_num_threads(1)
    print("    N   D  seed   Pyro: s  steps   fit_stochastic: s  steps   ratio  (wanted: 5)")
    for (N, D), seed in itertools.product(CASES, range(3)):
        X, y = make_case(N, D, np.random.default_rng(0))
        best = logistic.fit_gaussian(X, y, 2.0).elbo
        signed = torch.tensor((2 * y - 1)[:, None] * X).float()
        ours, our_steps = until_close(run_ours(signed, D, seed), X, y, best)
        peer, peer_steps = until_close(run_pyro(signed, D, seed), X, y, best)
        print(f"{N:5d} {D:3d} {seed:5d} {peer:9.2f} {peer_steps:6d}", end="")
        print(f" {ours:19.2f} {our_steps:6d} {peer / ours:6.1f}x")


if __name__ == "__main__":
    try:
        import pyro  # noqa: F401
    except ImportError:
        sys.exit("this benchmark needs pyro-ppl: python -m pip install pyro-ppl")
    compare()
