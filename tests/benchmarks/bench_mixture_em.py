"""fit_em against scikit-learn's GaussianMixture: equal start, equal iterations, equal results.

Run by hand on an idle machine: python tests/benchmarks/bench_mixture_em.py [plot.png]
Prints a table of times per iteration (the start excluded) and ratios, the extra memory of one
fit, and the time per iteration against N; with a file name it also draws the latter.
"""

import sys
import time
import tracemalloc
import warnings

import numpy as np
from sklearn.mixture import GaussianMixture

from vi_helpers import mixture_em

CASES = ((1_000_000, 2, 5, 5.0), (100_000, 10, 10, 5.0), (100_000, 32, 10, 3.0))
SHORT, LONG, REPEATS = 2, 7, 3


def make_case(N, D, K, rng):
    """Overlapping clusters, and a start off the truth."""
    means = rng.normal(size=(K, D))
    X = means[rng.integers(K, size=N)] + rng.normal(size=(N, D))
    start = means + 0.3 * rng.normal(size=(K, D))
    return X, mixture_em.GMMParams(np.full(K, 1 / K), start, np.array([np.eye(D)] * K))


def run_ours(X, init, n_iter):
    return mixture_em.fit_em(X, init, max_iter=n_iter, tol=0.0)


def run_sklearn(X, init, n_iter):
    model = GaussianMixture(
        len(init.weights),
        weights_init=init.weights,
        means_init=init.means,
        precisions_init=np.linalg.inv(init.covs),
        init_params="random",  # overridden by the start, and cheap: no k-means in the timing
        reg_covar=0.0,
        tol=0.0,
        max_iter=n_iter,
    )
    return model.fit(X)


def seconds(run, X, init, n_iter):
    started = time.perf_counter()
    fit = run(X, init, n_iter)
    return time.perf_counter() - started, fit


def per_iteration(run, X, init):
    """Median over repeats of (long run - short run) / extra iterations: set-up cancels."""
    times = []
    for _ in range(REPEATS):
        short, _ = seconds(run, X, init, SHORT)
        long, fit = seconds(run, X, init, LONG)
        times.append((long - short) / (LONG - SHORT))
    return float(np.median(times)), long, fit


def worst_difference(ours, peer):
    """Largest relative difference of the parameters, each against its array's scale."""
    pairs = (
        (ours.params.weights, peer.weights_),
        (ours.params.means, peer.means_),
        (ours.params.covs, peer.covariances_),
    )
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs)


def extra_memory(X, init):
    tracemalloc.start()
    run_ours(X, init, 1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def compare():
    print("        N   D   K   sklearn    fit_em   ratio  whole fit  wanted   difference   memory")
    for N, D, K, wanted in CASES:
        X, init = make_case(N, D, K, np.random.default_rng(0))
        ours, our_total, our_fit = per_iteration(run_ours, X, init)
        peer, peer_total, peer_fit = per_iteration(run_sklearn, X, init)
        difference = worst_difference(our_fit, peer_fit)
        assert difference < 1e-8, difference
        allowed = 8 * (2 * N * K + N * D)
        print(
            f"{N:9d} {D:3d} {K:3d} {1e3 * peer:6.0f} ms {1e3 * ours:6.1f} ms {peer / ours:6.1f}x"
            f" {peer_total / our_total:8.1f}x {wanted:6.0f}x {difference:12.1e}"
            f" {extra_memory(X, init) / allowed:7.0%} of 2NK+ND"
        )


def scaling():
    sizes = (10_000, 30_000, 100_000, 300_000, 1_000_000)
    times = []
    for N in sizes:
        X, init = make_case(N, 2, 5, np.random.default_rng(0))
        times.append(per_iteration(run_ours, X, init)[0])
        print(f"N={N:9d}  {1e3 * times[-1]:8.2f} ms  {1e9 * times[-1] / N:6.1f} ns a point")
    slope = np.polyfit(np.log(sizes), np.log(times), 1)[0]
    print(f"slope of log time against log N: {slope:.2f}")
    return sizes, times


def draw(sizes, times, path):
    from vi_helpers import plotting

    ax = plotting.new_axes()
    ax.loglog(sizes, np.array(times) * 1e3, "o-", color=plotting.COLORS[0], label="fit_em")
    line = times[-1] * 1e3 * np.array(sizes) / sizes[-1]
    ax.loglog(sizes, line, "--", color=plotting.COLORS[1], label="proportional to N")
    ax.set(xlabel="points N", ylabel="ms per iteration", title="D = 2, K = 5")
    ax.legend()
    ax.figure.savefig(path, dpi=120)


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # neither fit is meant to converge
    compare()
    results = scaling()
    if len(sys.argv) > 1:
        draw(*results, sys.argv[1])
