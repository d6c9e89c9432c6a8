"""Laws of spins on graphs: bounds, exactness where it holds, symmetry, and what is refused."""

import warnings

import numpy as np
import pytest
import reference

from vi_helpers import ising
from vi_helpers.results import ConvergenceWarning

ROWS = np.arange(25).reshape(5, 5).tolist()


def random_model(rng, n=7, density=0.5, strength=0.7):
    pairs = [(i, j) for i in range(n) for j in range(i) if rng.random() < density]
    J = strength * rng.normal(size=len(pairs))
    return ising.IsingModel(pairs, J, 0.5 * rng.normal(size=n))


def random_tree(rng, n):
    names = rng.permutation(n)
    edges = [(names[i], names[rng.integers(i)]) for i in range(1, n)]
    return ising.IsingModel(edges, rng.normal(size=n - 1), rng.normal(size=n))


def a_path(model):
    """A longest run of sites that no chord joins, found greedily."""
    joined = {frozenset(pair) for pair in model.edges.tolist()}
    best = [0]
    for start in range(model.num_sites):
        path = [start]
        for site in range(model.num_sites):
            earlier = any(frozenset((site, other)) in joined for other in path[:-1])
            if site not in path and frozenset((site, path[-1])) in joined and not earlier:
                path.append(site)
        best = max(best, path, key=len)
    return best


def close(a, b, atol=1e-10):
    np.testing.assert_allclose(a, b, rtol=0, atol=atol)


# Exact answers


def test_enumeration_agrees_with_the_sum_over_states_one_by_one():
    rng = np.random.default_rng(0)
    for n in (1, 2, 5, 8):
        model = random_model(rng, n)
        log_z, means, pairs = reference.ising_exact(model)
        ours, q = ising.enumerate_states(model)
        close(ours, log_z)
        close(q.magnetisations, means)
        close(q.correlations, pairs)
        close(ising.energy(model, q) + q.entropy, log_z)


@pytest.mark.parametrize("shape", [(1, 7), (7, 1), (2, 2), (3, 5), (5, 3), (4, 5), (2, 9)])
def test_transfer_matrix_and_enumeration_agree_on_random_couplings(shape):
    rng = np.random.default_rng(1)
    num_edges = len(ising.grid(*shape, 0.0, 0.0).edges)
    model = ising.grid(*shape, rng.normal(size=num_edges), rng.normal(size=shape))
    (log_z, q), (other, p) = ising.enumerate_states(model), ising.transfer_matrix(model)
    close(other, log_z)
    close(ising.log_partition(model), log_z)
    close(p.magnetisations, q.magnetisations)
    close(p.correlations, q.correlations)


def test_the_transfer_matrix_takes_a_grid_with_holes_and_edges_in_any_order():
    rng = np.random.default_rng(2)
    whole = ising.grid(4, 4, rng.normal(size=24), rng.normal(size=16))
    kept = rng.permutation(24)[:17]
    edges = [pair[::-1] if rng.random() < 0.5 else pair for pair in whole.edges[kept]]
    model = ising.IsingModel(edges, whole.couplings[kept], whole.fields)
    (log_z, q), (other, p) = ising.enumerate_states(model), ising.transfer_matrix(model)
    close(other, log_z)
    close(p.correlations, q.correlations)


def test_a_wide_grid_has_the_same_log_z_when_it_is_turned_on_its_side():
    rng = np.random.default_rng(3)
    wide = ising.grid(4, 12, rng.normal(size=80), rng.normal(size=(4, 12)))
    site = np.arange(48).reshape(4, 12).T.ravel()  # new number r -> old number
    new = np.argsort(site)
    tall = ising.IsingModel(new[wide.edges], wide.couplings, wide.fields[site])
    close(ising.log_partition(tall), ising.log_partition(wide))
    close(ising.exact_marginals(tall).correlations, ising.exact_marginals(wide).correlations)


def test_a_free_chain_has_the_log_z_of_the_textbooks():
    J = np.random.default_rng(4).normal(size=39)
    model = ising.grid(1, 40, J, 0.0)
    close(ising.log_partition(model), np.log(2) + np.log(2 * np.cosh(J)).sum())
    close(ising.exact_marginals(model).correlations, np.tanh(J))


@pytest.mark.parametrize("shape", [(2, 4), (12, 12)])
def test_the_gradient_of_log_z_is_the_marginals(shape):
    rng = np.random.default_rng(5)
    J = 0.5 * rng.normal(size=len(ising.grid(*shape, 0.0, 0.0).edges))
    h = 0.3 * rng.normal(size=np.prod(shape))
    q, step = ising.exact_marginals(ising.grid(*shape, J, h)), 1e-5

    def slope(dJ, dh):
        up = ising.log_partition(ising.grid(*shape, J + step * dJ, h + step * dh))
        down = ising.log_partition(ising.grid(*shape, J - step * dJ, h - step * dh))
        return (up - down) / (2 * step)

    for _ in range(3):
        dJ, dh = rng.normal(size=J.shape), rng.normal(size=h.shape)
        close(slope(dJ, 0 * dh), dJ @ q.correlations, atol=1e-6)
        close(slope(0 * dJ, dh), dh @ q.magnetisations, atol=1e-6)


# The table of the syllabus: 5 x 5, field 0.1


@pytest.mark.parametrize(
    ("J", "log_z", "naive", "chains", "bethe", "trees"),
    [
        (0.1, 17.706224, -0.1932, -0.0974, -0.0015, 0.1262),
        (0.3, 19.667305, -1.1624, -0.6997, -0.0916, 0.8714),
        (0.5, 24.226697, -0.5532, -0.3806, -0.1154, 1.2046),
        (1.0, 42.612540, -0.0250, -0.0172, -0.0082, 0.2798),
    ],
)
def test_the_known_errors_on_five_by_five(J, log_z, naive, chains, bethe, trees):
    model = ising.grid(5, 5, J, 0.1)
    exact = ising.log_partition(model)
    assert round(exact, 6) == log_z
    assert round(ising.fit_mean_field(model).elbo - exact, 4) == naive
    assert round(ising.fit_chains(model, ROWS).elbo - exact, 4) == chains
    assert round(ising.fit_belief_propagation(model).log_z - exact, 4) == bethe
    weighted = ising.fit_belief_propagation(model, edge_weights=24 / 40)
    assert round(weighted.log_z - exact, 4) == trees


def test_bethe_is_above_log_z_on_a_frustrated_triangle():
    model = ising.IsingModel([(0, 1), (1, 2), (0, 2)], [-1.0] * 3, [0.0] * 3)
    assert round(ising.log_partition(model), 6) == 2.797846
    assert round(ising.fit_belief_propagation(model).log_z, 6) == 3.380784


# Bounds


@pytest.mark.filterwarnings("ignore::vi_helpers.results.ConvergenceWarning")
def test_lower_bounds_exact_and_tree_reweighted_lie_in_this_order():
    rng = np.random.default_rng(6)
    slack = 1e-7
    for _ in range(200):
        n = int(rng.integers(3, 9))
        model = random_model(rng, n, rng.uniform(0.3, 1), rng.uniform(0.1, 1.5))
        log_z, weights = ising.log_partition(model), ising.spanning_tree_weights(model)
        naive = ising.fit_mean_field(model, init=rng.uniform(-1, 1, n))
        chains = ising.fit_chains(model, [a_path(model)], init=naive.params.magnetisations)
        upper = ising.fit_belief_propagation(model, edge_weights=weights, max_iter=2000)
        assert upper.changes[-1] < 1e-3  # strong frustration: the last digits take thousands
        assert naive.elbo <= chains.elbo + slack
        assert chains.elbo <= log_z + slack
        assert log_z <= upper.log_z + slack


def test_bethe_is_below_log_z_on_attractive_models():
    rng = np.random.default_rng(7)
    for _ in range(40):
        signed = random_model(rng, 7, rng.uniform(0.3, 1), rng.uniform(0.1, 1.5))
        model = ising.IsingModel(signed.edges, np.abs(signed.couplings), signed.fields)
        fit = ising.fit_belief_propagation(model)
        assert fit.converged
        assert fit.log_z <= ising.log_partition(model) + 1e-9


def test_the_bound_is_the_average_that_it_says_it_is():
    rng = np.random.default_rng(8)
    model = random_model(rng, 6)
    m = rng.uniform(-1, 1, 6)

    def q(x):
        return np.prod((1 + m * np.array(x)) / 2)

    ours = ising.elbo(model, ising.independent(model, m))
    close(ours, reference.ising_bound(model, q))


def test_the_bound_of_chains_is_the_average_over_their_own_distribution():
    rng = np.random.default_rng(9)
    model = ising.grid(3, 3, rng.normal(size=12), rng.normal(size=9))
    rows = [[0, 1, 2], [5, 4, 3], [6, 7, 8]]
    fit = ising.fit_chains(model, rows, tol=1e-13)
    m = fit.params.magnetisations

    def chain(row):  # exact inside, the other rows through their means
        inside = [e for e, pair in enumerate(model.edges) if set(pair) <= set(row)]
        field = np.zeros(9)
        for e, (i, j) in enumerate(model.edges):
            if e not in inside:
                field[i] += model.couplings[e] * m[j]
                field[j] += model.couplings[e] * m[i]
        edges = [[row.index(site) for site in model.edges[e]] for e in inside]
        small = ising.IsingModel(edges, model.couplings[inside], (model.fields + field)[row])
        log_z = reference.ising_exact(small)[0]
        return lambda x: np.exp(reference.ising_log_weight(small, [x[i] for i in row]) - log_z)

    parts = [chain(row) for row in rows]
    close(fit.elbo, reference.ising_bound(model, lambda x: np.prod([p(x) for p in parts])), 1e-9)


def test_no_sweep_lowers_the_bound():
    rng = np.random.default_rng(10)
    for _ in range(20):
        model = random_model(rng, 9, 0.6, 1.5)
        start = rng.uniform(-1, 1, 9)
        for fit in (
            ising.fit_mean_field(model, init=start),
            ising.fit_chains(model, [a_path(model)], init=start),
        ):
            assert np.diff(fit.elbos).min() > -1e-12


def test_an_update_is_the_best_value_of_its_site():
    rng = np.random.default_rng(11)
    model = random_model(rng, 7)
    means = rng.uniform(-1, 1, 7)
    for site in range(7):
        means = ising.update_sites(model, means, [site])
        best = ising.elbo(model, ising.independent(model, means))
        for step in (-1e-3, 1e-3):
            other = means.copy()
            other[site] = np.tanh(np.arctanh(means[site]) + step)
            assert ising.elbo(model, ising.independent(model, other)) < best


def test_chains_of_one_site_are_naive_mean_field():
    rng = np.random.default_rng(12)
    model = random_model(rng, 8)
    naive, alone = (
        ising.fit_mean_field(model, tol=1e-14),
        ising.fit_chains(model, [[3], [0]], tol=1e-14),
    )
    close(alone.params.magnetisations, naive.params.magnetisations, 1e-6)
    close(alone.elbo, naive.elbo, 1e-9)
    close(np.asarray(alone.params), alone.params.magnetisations)


# Exactness


def test_belief_propagation_is_exact_on_trees():
    rng = np.random.default_rng(13)
    for n in (1, 2, 3, 6, 10, 13):
        model = random_tree(rng, n)
        (log_z, q), fit = ising.enumerate_states(model), ising.fit_belief_propagation(model)
        close(fit.log_z, log_z)
        close(fit.params.magnetisations, q.magnetisations)
        close(fit.params.correlations, q.correlations)
        close(ising.spanning_tree_weights(model), 1.0)


def test_without_damping_a_tree_is_done_after_as_many_rounds_as_it_is_long():
    model = random_tree(np.random.default_rng(14), 12)
    fit = ising.fit_belief_propagation(model, damping=0.0)
    assert fit.n_iter <= 12
    assert fit.changes[-1] < 1e-14


def test_chains_are_exact_when_the_graph_is_a_chain():
    rng = np.random.default_rng(15)
    names = rng.permutation(12)
    pairs = np.stack([names[:-1], names[1:]], axis=1)
    model = ising.IsingModel(pairs, 2 * rng.normal(size=11), rng.normal(size=12))
    log_z, q = ising.enumerate_states(model)
    fit = ising.fit_chains(model, [names])
    close(fit.elbo, log_z)
    close(fit.params.magnetisations, q.magnetisations)
    close(fit.params.correlations, q.correlations)
    close(fit.params.entropy, q.entropy)


def test_every_method_is_exact_without_couplings():
    h = np.random.default_rng(16).normal(size=25)
    model = ising.grid(5, 5, 0.0, h)
    log_z = np.log(2 * np.cosh(h)).sum()
    fits = [ising.fit_mean_field(model), ising.fit_chains(model, ROWS)]
    messages = [
        ising.fit_belief_propagation(model),
        ising.fit_belief_propagation(model, edge_weights=0.6),
    ]
    close(ising.log_partition(model), log_z)
    for value in [fit.elbo for fit in fits] + [fit.log_z for fit in messages]:
        close(value, log_z)
    for fit in fits + messages:
        close(fit.params.magnetisations, np.tanh(h))


def test_turning_the_names_of_some_spins_round_changes_no_value():
    rng = np.random.default_rng(17)
    model = ising.grid(5, 5, 0.4 * rng.normal(size=40), rng.normal(size=25))
    s = rng.choice([-1.0, 1.0], 25)
    i, j = model.edges.T
    turned = ising.IsingModel(model.edges, model.couplings * s[i] * s[j], model.fields * s)
    close(ising.log_partition(turned), ising.log_partition(model))
    for fit in (
        ising.fit_mean_field,
        lambda m: ising.fit_chains(m, ROWS),
        ising.fit_belief_propagation,
        lambda m: ising.fit_belief_propagation(m, edge_weights=0.6),
    ):
        close(fit(turned).params.magnetisations, s * fit(model).params.magnetisations, 1e-5)


# Messages


def test_any_messages_rewrite_the_same_distribution():
    rng = np.random.default_rng(18)
    model = random_model(rng, 6, 0.7)
    weights = rng.uniform(0.3, 1, len(model.edges))
    messages = rng.normal(size=(2, len(model.edges)))
    log_z, _ = ising.beliefs(model, messages, weights)
    (a, b), total = ising.cavity_fields(model, messages, weights)
    for x in rng.choice([-1, 1], (10, 6)):
        site = x * total - np.log(2 * np.cosh(total))
        value = log_z + site.sum()
        for e, (i, j) in enumerate(model.edges):
            J = model.couplings[e] / weights[e]
            table = np.array([[J * s * t + a[e] * s + b[e] * t for t in (-1, 1)] for s in (-1, 1)])
            pair = J * x[i] * x[j] + a[e] * x[i] + b[e] * x[j] - np.log(np.exp(table).sum())
            value += weights[e] * (pair - site[i] - site[j])
        close(value, reference.ising_log_weight(model, x), 1e-9)


def test_at_a_fixed_point_log_z_is_energy_plus_the_entropy_of_the_tables():
    model = random_model(np.random.default_rng(19), 8, 0.6)
    for weights in (np.ones(len(model.edges)), ising.spanning_tree_weights(model)):
        fit = ising.fit_belief_propagation(model, edge_weights=weights, damping=0.7)
        m, pairs = fit.params.magnetisations, fit.params.correlations

        def entropy(p):
            return -np.sum(p * np.log(p))

        total = sum(entropy(np.array([1 - mean, 1 + mean]) / 2) for mean in m)
        for e, (i, j) in enumerate(model.edges):
            s, t = np.meshgrid([-1, 1], [-1, 1], indexing="ij")
            table = (1 + s * m[i] + t * m[j] + s * t * pairs[e]) / 4
            alone = np.outer(table.sum(axis=1), table.sum(axis=0))
            total -= weights[e] * np.sum(table * np.log(table / alone))
        close(fit.params.entropy, total, 1e-8)
        close(fit.log_z, ising.energy(model, fit.params) + total, 1e-8)


def test_a_message_is_what_summing_one_spin_out_leaves():
    rng = np.random.default_rng(20)
    J, c = rng.normal(size=(2, 50))
    close(ising.message(J, c), np.arctanh(np.tanh(J) * np.tanh(c)))
    assert ising.message(400.0, -300.0) == -300
    assert ising.message(0.0, 5.0) == 0


def test_tree_weights_are_the_frequencies_among_all_spanning_trees():
    model = ising.IsingModel(
        [(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (4, 0), (1, 3)], np.ones(7), np.zeros(5)
    )
    close(
        ising.spanning_tree_weights(model),
        reference.spanning_tree_edge_frequency(model.edges.tolist(), 5),
    )
    close(ising.spanning_tree_weights(ising.grid(5, 5, 1.0, 0.0)).sum(), 24)
    two_parts = ising.IsingModel([(0, 1), (2, 3), (3, 4), (4, 2)], np.ones(4), np.zeros(5))
    close(ising.spanning_tree_weights(two_parts), [1, 2 / 3, 2 / 3, 2 / 3])


def test_strong_couplings_overflow_nowhere():
    rng = np.random.default_rng(21)
    model = ising.grid(3, 4, 300 * rng.normal(size=17), 300 * rng.normal(size=12))
    log_z = ising.log_partition(model)
    assert ising.fit_mean_field(model).elbo <= log_z + 1e-9
    assert ising.fit_chains(model, [[0, 1, 2, 3]]).elbo <= log_z + 1e-9
    tree = ising.grid(1, 9, 300 * rng.normal(size=8), 300 * rng.normal(size=9))
    close(ising.fit_belief_propagation(tree).log_z, ising.log_partition(tree), 1e-8)


def test_messages_that_do_not_settle_are_reported():
    model = ising.IsingModel([(0, 1), (1, 2), (0, 2)], [-3.0] * 3, [0.2] * 3)
    with pytest.warns(ConvergenceWarning, match="fit_belief_propagation.*change of a message"):
        fit = ising.fit_belief_propagation(model, damping=0.0, max_iter=200)
    assert not fit.converged
    assert len(fit.changes) == fit.n_iter == 200


def test_with_tol_zero_all_iterations_run_in_silence():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = ising.grid(3, 3, 0.2, 0.1)
        assert ising.fit_belief_propagation(model, max_iter=7, tol=0).n_iter == 7
        assert ising.fit_mean_field(model, max_iter=7, tol=0).n_iter == 7


# Sampling


def test_gibbs_sweeps_leave_the_exact_marginals_in_place():
    rng = np.random.default_rng(22)
    model = random_model(rng, 7)
    exact, x, num = ising.exact_marginals(model), np.ones(7), 4_000
    draws = np.empty((num, 7))
    for s in range(num):
        x = ising.gibbs_sweep(model, x, rng)
        draws[s] = x
    blocks = draws.reshape(100, -1, 7).mean(axis=1)  # neighbours are dependent, blocks hardly
    error = blocks.std(axis=0, ddof=1) / 10
    assert (np.abs(blocks.mean(axis=0) - exact.magnetisations) < 5 * error).all()


def test_no_two_sites_of_one_colour_are_joined():
    for model in (ising.grid(5, 7, 1.0, 0.0), random_model(np.random.default_rng(23), 12)):
        colour = np.empty(model.num_sites)
        for c, sites in enumerate(model.colours):
            colour[sites] = c
        assert (colour[model.edges[:, 0]] != colour[model.edges[:, 1]]).all()
        assert sum(map(len, model.colours)) == model.num_sites
    assert len(ising.grid(5, 7, 1.0, 0.0).colours) == 2


# Bad input


def square(couplings=(1.0,) * 4, edges=((0, 1), (1, 2), (2, 3), (3, 0)), fields=(0.1,) * 4):
    return ising.IsingModel(edges, couplings, fields)


COMPLETE = [(i, j) for i in range(21) for j in range(i)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: square(edges=[(0, 1), (1, 1), (2, 3), (3, 0)]), r"edges.*different.*\(1, 1\)"),
        (lambda: square(edges=[(0, 1), (1, 2), (1, 0), (3, 0)]), r"edges.*once.*\(0, 1\)"),
        (lambda: square(edges=[(0, 1), (1, 2), (2, 4), (3, 0)]), "edges.*0 to 3.*site 4"),
        (lambda: square(edges=[(0, 1), (1, 2), (2, -1), (3, 0)]), "edges.*site -1"),
        (lambda: square(edges=[(0.5, 1), (1, 2), (2, 3), (3, 0)]), "edges.*whole"),
        (lambda: square(edges=[0, 1, 2, 3]), "edges.*shape"),
        (lambda: square(edges=[(0, 1, 2)] * 4), "edges.*shape"),
        (lambda: square(edges=[(0, 1), (1,)]), "edges"),
        (lambda: square(couplings=[1, 1, np.nan, 1]), "couplings.*finite"),
        (lambda: square(couplings=[1, 1]), "couplings.*shape"),
        (lambda: square(fields=[0, 0, np.inf, 0]), "fields.*finite"),
        (lambda: square(fields=[]), "fields"),
        (lambda: ising.grid(0, 3, 1.0, 0.0), "height"),
        (lambda: ising.grid(3, 2.5, 1.0, 0.0), "width"),
        (lambda: ising.grid(3, 3, np.ones(5), 0.0), "coupling.*12"),
        (lambda: ising.grid(2, 3, 1.0, np.ones((3, 2))), "field.*2, 3"),
        (lambda: ising.grid(2, 3, np.nan, 0.0), "coupling.*finite"),
        (
            lambda: ising.log_partition(ising.IsingModel(COMPLETE, np.ones(210), np.ones(21))),
            "21 sites.*2.21 = 2.1e.06",
        ),
        (lambda: ising.log_partition(ising.grid(21, 30, 0.1, 0.0)), "21 sites wide.*2.21"),
        (lambda: ising.transfer_matrix(square()), "model must be a grid"),
        (lambda: ising.fit_chains(square(), [[0, 1], [1, 2]]), "chains.*overlap.*site 1"),
        (lambda: ising.fit_chains(square(), [[0, 1, 0]]), "chains.*overlap.*site 0"),
        (lambda: ising.fit_chains(square(), [[1], [0, 2]]), r"chains\[1\].*no path.*0 and 2"),
        (lambda: ising.fit_chains(square(), [[0, 1, 2, 3]]), r"chains\[0\].*3 and 0 are joined"),
        (lambda: ising.fit_chains(square(), [[0, 7]]), r"chains\[0\].*site 7"),
        (lambda: ising.fit_chains(square(), [[0, 1], []]), r"chains\[1\]"),
        (lambda: ising.fit_chains(square(), [[0.0, 1.0]]), r"chains\[0\].*whole"),
        (lambda: ising.fit_chains(square(), 3), "chains"),
        (lambda: ising.fit_mean_field(square(), init=[0, 0, 0, 1.5]), "init.*1.5"),
        (lambda: ising.fit_mean_field(square(), init=[0, 0]), "init.*shape"),
        (lambda: ising.fit_mean_field(square(), tol=-1), "tol"),
        (lambda: ising.fit_mean_field(square(), max_iter=0), "max_iter"),
        (lambda: ising.fit_belief_propagation(square(), damping=1.0), "damping"),
        (lambda: ising.fit_belief_propagation(square(), damping=np.nan), "damping"),
        (lambda: ising.fit_belief_propagation(square(), edge_weights=0.0), "edge_weights"),
        (lambda: ising.fit_belief_propagation(square(), edge_weights=1.2), "edge_weights.*1.2"),
        (lambda: ising.fit_belief_propagation(square(), edge_weights=[0.5] * 3), "edge_weights"),
        (lambda: ising.fit_belief_propagation(square(), init=np.zeros((4, 2))), "init.*shape"),
        (lambda: ising.fit_belief_propagation(square(), tol=np.nan), "tol"),
    ],
)
def test_bad_input_is_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_model_keeps_its_own_copy():
    J = np.ones(4)
    model = square(couplings=J)
    J[0] = 7
    assert model.couplings[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        model.couplings[0] = 2
