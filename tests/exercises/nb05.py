"""Answers to the exercises of notebook 05: each wrong one is refused, each right one accepted."""

import math

import numpy as np
import torch
from scipy.special import entr, log_softmax, logsumexp, softmax, xlogy

from vi_helpers import ising

# 5.1 the fields of a channel


def channel(y, a, b):
    return np.where(y == 1, np.log((1 - b) / a), np.log(b / (1 - a))) / 2


def channel_by_loop(y, a, b):
    h = []
    for spin in np.ravel(y):
        up, down = (1 - b, a) if spin == 1 else (b, 1 - a)
        h.append(0.5 * (math.log(up) - math.log(down)))
    return np.reshape(h, np.shape(y)).tolist()


def channel_by_mean_and_slope(y, a, b):
    plus, minus = 0.5 * np.log((1 - b) / a), 0.5 * np.log(b / (1 - a))
    return (plus + minus) / 2 + y * (plus - minus) / 2


# 5.2 Potts


def potts(q, site, edges, couplings, fields):
    log_q = fields[site].copy()
    for (i, j), J in zip(edges, couplings, strict=True):
        if i == site:
            log_q = log_q + J * q[j]
        elif j == site:
            log_q = log_q + J * q[i]
    return softmax(log_q)


def potts_dense(q, site, edges, couplings, fields):
    J = np.zeros((len(q), len(q)))
    J[edges[:, 0], edges[:, 1]] = J[edges[:, 1], edges[:, 0]] = couplings
    return np.exp(log_softmax(fields[site] + J[site] @ q))


def potts_one_direction(q, site, edges, couplings, fields):
    log_q = fields[site].copy()
    for (i, j), J in zip(edges, couplings, strict=True):
        if i == site:
            log_q = log_q + J * q[j]
    return softmax(log_q)


def potts_by_mode(q, site, edges, couplings, fields):
    log_q = fields[site].copy()
    for (i, j), J in zip(edges, couplings, strict=True):
        if site in (i, j):
            log_q[q[j if i == site else i].argmax()] += J
    return softmax(log_q)


def potts_all_edges(q, site, edges, couplings, fields):
    return softmax(
        fields[site] + sum(J * (q[i] + q[j]) for (i, j), J in zip(edges, couplings, strict=True))
    )


def potts_in_place(q, site, edges, couplings, fields):
    log_q = fields[site]
    for (i, j), J in zip(edges, couplings, strict=True):
        if site in (i, j):
            log_q += J * q[j if i == site else i]
    return softmax(log_q)


def potts_stored(q, site, edges, couplings, fields):
    q[site] = potts(q, site, edges, couplings, fields)
    return q[site]


def potts_log_neighbours(q, site, edges, couplings, fields):
    log_q = fields[site].copy()
    for (i, j), J in zip(edges, couplings, strict=True):
        if site in (i, j):
            log_q = log_q + J * np.log(q[j if i == site else i])
    return softmax(log_q)


# 5.3 a message


def message(log_factor, log_incoming):
    return log_softmax(logsumexp(log_factor + log_incoming[:, None], axis=0))


def message_by_loop(log_factor, log_incoming):
    out = [logsumexp([f + u for f, u in zip(c, log_incoming, strict=True)]) for c in log_factor.T]
    return [value - logsumexp(out) for value in out]


def message_torch(log_factor, log_incoming):
    joint = torch.as_tensor(log_factor) + torch.as_tensor(log_incoming)[:, None]
    return torch.log_softmax(torch.logsumexp(joint, dim=0), dim=0)


def message_torch_float32(log_factor, log_incoming):
    joint = torch.tensor(log_factor + log_incoming[:, None], dtype=torch.float32)
    return torch.log_softmax(torch.logsumexp(joint, dim=0), dim=0)


def message_in_linear_space(log_factor, log_incoming):
    with np.errstate(all="ignore"):
        out = np.exp(log_incoming) @ np.exp(log_factor)
        return np.log(out / out.sum())


def message_wrong_axis(log_factor, log_incoming):
    return log_softmax(logsumexp(log_factor.T + log_incoming, axis=0))


# 5.4 Bethe


def tables(m, xi, edges):
    s = np.array([-1, 1])
    for (i, j), c in zip(edges, xi, strict=True):
        yield (1 + m[i] * s[:, None] + m[j] * s + c * np.outer(s, s)) / 4


def site_entropy(m):
    return entr((1 + m) / 2) + entr((1 - m) / 2)


def energy(m, xi, couplings, fields):
    return couplings @ xi + fields @ m


def bethe(m, xi, edges, couplings, fields):
    shared = 0.0
    for (i, j), b in zip(edges, tables(m, xi, edges), strict=True):
        shared += site_entropy(m[i]) + site_entropy(m[j]) - entr(b).sum()
    return energy(m, xi, couplings, fields) + site_entropy(m).sum() - shared


def bethe_by_degrees(m, xi, edges, couplings, fields):
    degree = np.bincount(np.ravel(edges), minlength=len(m))
    pairs = sum(entr(b).sum() for b in tables(m, xi, edges))
    return energy(m, xi, couplings, fields) + pairs + ((1 - degree) * site_entropy(m)).sum()


def bethe_by_loops(m, xi, edges, couplings, fields):
    total = 0.0
    for i in range(len(m)):
        total += fields[i] * m[i]
        for s in (-1, 1):
            total -= xlogy((1 + s * m[i]) / 2, (1 + s * m[i]) / 2)
    for e, (i, j) in enumerate(edges):
        total += couplings[e] * xi[e]
        for s in (-1, 1):
            for t in (-1, 1):
                b = (1 + m[i] * s + m[j] * t + xi[e] * s * t) / 4
                total -= xlogy(b, b / ((1 + m[i] * s) / 2) / ((1 + m[j] * t) / 2))
    return float(total)


def bethe_no_information(m, xi, edges, couplings, fields):
    return energy(m, xi, couplings, fields) + site_entropy(m).sum()


def bethe_information_added(m, xi, edges, couplings, fields):
    return 2 * bethe_no_information(m, xi, edges, couplings, fields) - bethe(
        m, xi, edges, couplings, fields
    )


def bethe_pairs_only(m, xi, edges, couplings, fields):
    return energy(m, xi, couplings, fields) + sum(entr(b).sum() for b in tables(m, xi, edges))


def bethe_independent_energy(m, xi, edges, couplings, fields):
    i, j = np.transpose(edges)
    return bethe(m, xi, edges, couplings, fields) + couplings @ (m[i] * m[j] - xi)


def bethe_run_again(m, xi, edges, couplings, fields):
    return ising.fit_belief_propagation(ising.IsingModel(edges, couplings, fields)).log_z


def bethe_exact(m, xi, edges, couplings, fields):
    return ising.log_partition(ising.IsingModel(edges, couplings, fields))


def bethe_at_one_state(m, xi, edges, couplings, fields):
    """Log weight minus log belief of all up: log Z at a fixed point of the messages only."""
    b, value = (1 + m) / 2, fields.sum() + couplings.sum()
    for (i, j), c in zip(edges, xi, strict=True):
        value -= np.log((1 + m[i] + m[j] + c) / 4 / (b[i] * b[j]))
    return value - np.log(b).sum()


# 5.5 a ring


def matrix(J, h):
    s = np.array([-1, 1])
    return np.exp(J * np.outer(s, s) + h * (s[:, None] + s) / 2)


def ring(n, J, h):
    values = np.sort(np.abs(np.linalg.eigvals(matrix(J, h))))
    sign = np.sign(np.linalg.det(matrix(J, h))) ** n
    return n * np.log(values[1]) + np.log1p(sign * (values[0] / values[1]) ** n)


def ring_closed_form(n, J, h):
    root = math.sqrt(math.exp(2 * J) * math.sinh(h) ** 2 + math.exp(-2 * J))
    large = math.exp(J) * math.cosh(h) + root
    small = math.exp(J) * math.cosh(h) - root
    return n * math.log(large) + math.log1p((small / large) ** n)


def ring_by_doubling(n, J, h):
    """The matrix power by repeated squaring, rescaled at each step."""
    power, scale, result, log_scale = matrix(J, h), 0.0, np.eye(2), 0.0
    while n:
        if n % 2:
            result, log_scale = result @ power, log_scale + scale
        power, scale = power @ power, 2 * scale
        top = power.max()
        power, scale = power / top, scale + np.log(top)
        n //= 2
    return float(np.log(np.trace(result)) + log_scale)


def ring_by_loop(n, J, h):
    (a, b), (c, d) = matrix(J, h).tolist()
    power, scale = [[1.0, 0.0], [0.0, 1.0]], 0.0
    for _ in range(n):
        power = [[r[0] * a + r[1] * c, r[0] * b + r[1] * d] for r in power]
        top = max(map(max, power))
        power, scale = [[v / top for v in r] for r in power], scale + math.log(top)
    return scale + math.log(power[0][0] + power[1][1])


def ring_largest_only(n, J, h):
    return n * np.log(np.linalg.eigvalsh(matrix(J, h)).max())


def ring_overflow(n, J, h):
    with np.errstate(all="ignore"):
        return np.log(np.trace(np.linalg.matrix_power(matrix(J, h), n)))


def ring_open(n, J, h):
    end = np.exp(h * np.array([-1, 1]) / 2)
    V, total, scale = matrix(J, h), end, 0.0
    for _ in range(min(n, 1000) - 1):
        total = V @ total
        scale, total = scale + np.log(total.max()), total / total.max()
    return scale + np.log(end @ total)


def ring_absolute(n, J, h):
    small, large = np.sort(np.abs(np.linalg.eigvalsh(matrix(J, h))))
    return n * np.log(large) + np.log1p((small / large) ** n)


EXERCISES = {
    "5.1": {
        "check": "check_fields",
        "wrong": {
            "one rate only": lambda y, a, b: 0.5 * np.log((1 - a) / a) * y,
            "mean rate": lambda y, a, b: 0.5 * np.log((2 - a - b) / (a + b)) * y,
            "no half": lambda y, a, b: 2 * channel(y, a, b),
            "sign": lambda y, a, b: -channel(y, a, b),
            "rates swapped": lambda y, a, b: channel(y, b, a),
            "log likelihood of +1": lambda y, a, b: np.log(np.where(y == 1, 1 - b, b)),
            "forgets the data": lambda y, a, b: 0.5 * np.log((1 - b) / a),
            "flattened": lambda y, a, b: np.ravel(channel(y, a, b)),
            "sign of y": lambda y, a, b: y * np.abs(channel(y, a, b)),
            "drops the mean": lambda y, a, b: y * np.log((1 - a) * (1 - b) / (a * b)) / 4,
            "no return": lambda y, a, b: None,
        },
        "right": {
            "where": channel,
            "loop, list": channel_by_loop,
            "mean and slope": channel_by_mean_and_slope,
        },
    },
    "5.2": {
        "check": "check_potts",
        "wrong": {
            "only edges that start here": potts_one_direction,
            "neighbour's mode": potts_by_mode,
            "every edge": potts_all_edges,
            "log of the neighbours": potts_log_neighbours,
            "no fields": lambda q, i, e, J, h: potts(q, i, e, J, 0 * h),
            "not normalised": lambda q, i, e, J, h: 2 * potts(q, i, e, J, h),
            "in logs": lambda q, i, e, J, h: np.log(potts(q, i, e, J, h)),
            "sign of the coupling": lambda q, i, e, J, h: potts(q, i, e, -J, h),
            "whole matrix": lambda q, i, e, J, h: np.array(
                [potts(q, k, e, J, h) for k in range(len(q))]
            ),
            "unchanged": lambda q, i, e, J, h: q[i],
            "spins in mind": lambda q, i, e, J, h: np.tanh(h[i]),
            "changes the fields": potts_in_place,
            "changes q": potts_stored,
        },
        "right": {
            "loop": potts,
            "dense": potts_dense,
            "list": lambda *a: list(potts(*a)),
            "float32": lambda *a: potts(*a).astype(np.float32),
        },
    },
    "5.3": {
        "check": "check_message",
        "wrong": {
            "linear space": message_in_linear_space,
            "not normalised": lambda f, u: logsumexp(f + u[:, None], axis=0),
            "maximum": lambda f, u: log_softmax((f + u[:, None]).max(axis=0)),
            "factor only": lambda f, u: log_softmax(logsumexp(f, axis=0)),
            "wrong axis": message_wrong_axis,
            "linear result": lambda f, u: np.exp(message(f, u)),
            "mean of logs": lambda f, u: log_softmax((f + u[:, None]).mean(axis=0)),
            "no return": lambda f, u: None,
        },
        "right": {
            "logsumexp": message,
            "loop, list": message_by_loop,
            "torch": message_torch,
            "torch, float32": message_torch_float32,
        },
    },
    "5.4": {
        "check": "check_bethe",
        "wrong": {
            "no information": bethe_no_information,
            "information added": bethe_information_added,
            "pair entropies only": bethe_pairs_only,
            "energy of independent spins": bethe_independent_energy,
            "own marginals": bethe_run_again,
            "exact log Z": bethe_exact,
            "at one state": bethe_at_one_state,
            "energy negative": lambda m, x, e, J, h: bethe(m, x, e, -J, -h),
            "no energy": lambda m, x, e, J, h: bethe(m, x, e, 0 * J, 0 * h),
            "in bits": lambda m, x, e, J, h: bethe(m, x, e, J, h) / np.log(2),
            "an array": lambda m, x, e, J, h: site_entropy(m) + h * m,
            "information once too often": lambda m, x, e, J, h: (
                2 * bethe(m, x, e, J, h) - bethe_no_information(m, x, e, J, h)
            ),
        },
        "right": {
            "mutual information": bethe,
            "degrees": bethe_by_degrees,
            "loops, float": bethe_by_loops,
            "float32": lambda *a: np.float32(bethe(*a)),
        },
    },
    "5.5": {
        "check": "check_ring",
        "wrong": {
            "largest eigenvalue only": ring_largest_only,
            "overflows": ring_overflow,
            "open chain": ring_open,
            "absolute values": ring_absolute,
            "no field": lambda n, J, h: ring(n, J, 0.0),
            "field twice": lambda n, J, h: ring(n, J, 2 * h),
            "Z instead of its log": lambda n, J, h: np.exp(min(ring(n, J, h), 700.0)),
            "one bond less": lambda n, J, h: ring(n - 1, J, h),
            "large n: no field": lambda n, J, h: ring(n, J, h * (n < 100)),
            "large n: 1.2 nats off": lambda n, J, h: ring(n, J, h) + 1.2 * (n > 100),
            "per site": lambda n, J, h: ring(n, J, h) / n,
        },
        "right": {
            "eigenvalues": ring,
            "closed form": ring_closed_form,
            "doubling": ring_by_doubling,
            "loop": ring_by_loop,
            "float32": lambda n, J, h: np.float32(ring(n, J, h)),
        },
    },
}
