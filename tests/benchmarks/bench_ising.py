"""ising against plain Python loops, and its belief propagation against PGMax where installed.

Run by hand on an idle machine: python tests/benchmarks/bench_ising.py [size]
PGMax is not among the requirements: install pgmax into a separate environment, with this
repository on its path, and run this file there; without it that line is skipped.
"""

import math
import sys
import time

import numpy as np

from vi_helpers import ising

COUPLING, REPEATS = 0.4, 5


def make_grid(size, rng):
    return ising.grid(size, size, COUPLING, rng.normal(size=(size, size)))


def best_time(run):
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        result = run()
        times.append(time.perf_counter() - started)
    return min(times), result


def neighbours_of(model):
    joined = [[] for _ in range(model.num_sites)]
    for (i, j), J in zip(model.edges.tolist(), model.couplings.tolist(), strict=True):
        joined[i].append((j, J))
        joined[j].append((i, J))
    return joined


def loop_sweep(model, neighbours, means):
    """One mean-field sweep, the colours in the same order, site by site."""
    fields, means = model.fields.tolist(), means.tolist()
    for sites in model.colours:
        for i in sites.tolist():
            means[i] = math.tanh(fields[i] + sum(J * means[j] for j, J in neighbours[i]))
    return np.array(means)


def loop_messages(model, messages):
    """One round of belief propagation without damping, edge by edge."""
    total = model.fields.tolist()
    edges, J = model.edges.tolist(), model.couplings.tolist()
    there, back = messages.tolist()
    for e, (i, j) in enumerate(edges):
        total[j] += there[e]
        total[i] += back[e]
    new = [[0.0] * len(edges), [0.0] * len(edges)]
    for e, (i, j) in enumerate(edges):
        new[0][e] = math.atanh(math.tanh(J[e]) * math.tanh(total[i] - back[e]))
        new[1][e] = math.atanh(math.tanh(J[e]) * math.tanh(total[j] - there[e]))
    return np.array(new)


def against_loops(size):
    model = make_grid(size, np.random.default_rng(0))
    means, neighbours = np.tanh(model.fields), neighbours_of(model)
    messages = 0.1 * np.random.default_rng(1).normal(size=(2, len(model.edges)))

    def sweep():  # the rows of both colours as a fit keeps them
        new = means.copy()
        for sites, couplings in model.rows_by_colour:
            new[sites] = np.tanh(model.fields[sites] + couplings @ new)
        return new

    sweep()  # builds what a fit builds once
    rows = (
        ("mean-field sweep", sweep, lambda: loop_sweep(model, neighbours, means)),
        (
            "round of messages",
            lambda: ising.update_messages(model, messages),
            lambda: loop_messages(model, messages),
        ),
    )
    print(f"{size} x {size} grid, one pass" + " " * 7 + "ising    plain loop   ratio  difference")
    for name, ours, loop in rows:
        (fast, a), (slow, b) = best_time(ours), best_time(loop)
        difference = np.abs(a - b).max()
        assert difference < 1e-12, difference
        print(
            f"{name:26s} {1e3 * fast:8.2f} ms {1e3 * slow:8.1f} ms {slow / fast:6.1f}x"
            f" {difference:11.1e}"
        )


def whole_fits(size):
    model = make_grid(size, np.random.default_rng(0))
    rows = np.arange(size * size).reshape(size, size)
    fits = {
        "naive": lambda: ising.fit_mean_field(model, tol=1e-3),
        "rows as chains": lambda: ising.fit_chains(model, rows, tol=1e-3),
        "belief propagation": lambda: ising.fit_belief_propagation(model, tol=1e-3),
    }
    print("\nwhole fits, set-up included")
    for name, fit in fits.items():
        seconds, result = best_time(fit)
        print(f"{name:26s} {seconds:8.2f} s in {result.n_iter} iterations")


def against_pgmax(size, num_iters=100):
    try:
        from pgmax import fgraph, fgroup, infer, vgroup
    except ImportError:
        print("\nPGMax is not installed: skipped")
        return
    model = make_grid(size, np.random.default_rng(0))
    spins = vgroup.NDVarArray(num_states=2, shape=(model.num_sites,))
    graph = fgraph.FactorGraph(variable_groups=spins)
    pair = COUPLING * np.array([[1.0, -1.0], [-1.0, 1.0]])
    joined = [[spins[int(i)], spins[int(j)]] for i, j in model.edges]
    graph.add_factors(
        fgroup.PairwiseFactorGroup(variables_for_factors=joined, log_potential_matrix=pair)
    )
    peer = infer.build_inferer(graph.bp_state, backend="bp")
    evidence = np.stack([-model.fields, model.fields], axis=1)
    start = peer.init(evidence_updates={spins: evidence})

    def run_peer():
        arrays = peer.run(start, num_iters=num_iters, damping=0.5, temperature=1.0)
        p = np.asarray(infer.get_marginals(peer.get_beliefs(arrays))[spins])
        return p[:, 1] - p[:, 0]

    def run_ours():
        fit = ising.fit_belief_propagation(model, max_iter=num_iters, tol=0)
        return fit.params.magnetisations

    run_peer()  # compiles
    (fast, ours), (slow, theirs) = best_time(run_ours), best_time(run_peer)
    difference = np.abs(ours - theirs).max()
    assert difference < 1e-3, difference  # PGMax works in single precision
    print(
        f"\n{num_iters} rounds, damping 0.5: ising {fast:.2f} s, PGMax (compiled) {slow:.2f} s,"
        f" ratio {slow / fast:.2f}x, difference of the means {difference:.1e}"
    )


if __name__ == "__main__":
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 256
    against_loops(size)
    whole_fits(size)
    against_pgmax(min(size, 128))
