"""Estimates of the ELBO and of its gradient; stochastic_vi's docstring names the estimators."""

import math
from contextlib import contextmanager, nullcontext

import numpy as np
import torch

from vi_helpers import validation
from vi_helpers._seeding import or_seed_zero

PATHWISE = ("reparam", "stl")
ESTIMATORS = (*PATHWISE, "score", "score_loo")
CHUNK = 50  # samples of a large evaluation held at once: of 20 to 100 the fastest


class Minibatch:
    """A log joint estimated without bias from B of N rows: log_prior + N/B sum of log_likelihood.

    log_prior      : z (S, D) -> (S,)
    log_likelihood : (z, *rows) -> (S, B), one column for each row of the tensors in rows
    data           : tuple of tensors with N rows each; every pass draws a new order, and leaves
                     out the N mod B rows that are left over
    Calling it uses the next batch, or all rows as they are when B = N; full(z) uses every row.
    Raises ValueError for tensors of different lengths, or batch_size outside 1..N.
    """

    def __init__(self, log_prior, log_likelihood, data, batch_size, generator=None):
        if not isinstance(data, (tuple, list)) or not all(map(torch.is_tensor, data)):
            raise ValueError(f"data must be a tuple of tensors, got {type(data).__name__}")
        self.data = tuple(data)
        lengths = {len(rows) for rows in self.data}
        if len(lengths) != 1:
            raise ValueError(f"data must hold tensors of one length, got lengths {sorted(lengths)}")
        self.num_rows = lengths.pop()
        self.batch_size = validation.integer("batch_size", batch_size)
        if self.batch_size > self.num_rows:
            raise ValueError(f"batch_size must be at most {self.num_rows}, got {batch_size}")
        self.log_prior = validation.function("log_prior", log_prior)
        self.log_likelihood = validation.function("log_likelihood", log_likelihood)
        self.generator, self._order = or_seed_zero(generator), ()

    def __call__(self, z):
        if self.batch_size == self.num_rows:  # their order does not matter
            return self.full(z)
        if len(self._order) < self.batch_size:
            self._order = torch.randperm(self.num_rows, generator=self.generator)
        batch, self._order = self._order[: self.batch_size], self._order[self.batch_size :]
        return self._scaled(z, [rows[batch] for rows in self.data])

    def full(self, z):
        """The log joint of all rows, (S, D) -> (S,)."""
        return self._scaled(z, self.data)

    def _scaled(self, z, rows):
        per_row = self.log_likelihood(z, *rows)
        if per_row.shape != (len(z), len(rows[0])):
            raise ValueError(
                f"log_likelihood must return shape {(len(z), len(rows[0]))}, one column for each "
                f"row, got {tuple(per_row.shape)}"
            )
        return self.log_prior(z) + self.num_rows / len(rows[0]) * per_row.sum(1)


def surrogate(log_joint, family, num_samples, generator=None, estimator="stl"):
    """Two numbers: one whose gradient estimates that of the ELBO, and an estimate of the ELBO.

    Raises ValueError for an unknown estimator, or score_loo with fewer than two samples.
    """
    _check_estimator(estimator, num_samples)
    _check_callables(log_joint, family)
    return unchecked_surrogate(log_joint, family, num_samples, generator, estimator)


def unchecked_surrogate(log_joint, family, num_samples, generator, estimator):
    """As surrogate, for loops that have looked at its arguments before."""
    if estimator in PATHWISE:
        z, mass = _draw(family, num_samples, generator)
        with _frozen(family) if estimator == "stl" else nullcontext():
            log_q = family.log_prob(z)
        objective = (mass * (_real(log_joint(z), z) - log_q)).sum()
        return objective, objective.detach()
    with torch.no_grad():
        z = family.sample(num_samples, generator)
        log_p = _real(log_joint(z), z)
    log_q = family.log_prob(z)
    terms = log_p - log_q.detach()
    baseline = (terms.sum() - terms) / (num_samples - 1) if estimator == "score_loo" else 0.0
    return ((terms - baseline) * log_q).mean(), terms.mean()


def gradient_samples(
    log_joint, family, num_repeats, *, num_samples=1, generator=None, estimator="stl"
):
    """Independent estimates of the gradient of the ELBO, (num_repeats, number of parameters).

    The columns follow torch.nn.utils.parameters_to_vector. Raises ValueError as surrogate does.
    """
    num_repeats = validation.integer("num_repeats", num_repeats)
    probe(log_joint, family, num_samples, estimator)
    generator, params, rows = or_seed_zero(generator), list(family.parameters()), []
    for _ in range(num_repeats):
        objective, _ = unchecked_surrogate(log_joint, family, num_samples, generator, estimator)
        parts = torch.autograd.grad(objective, params, materialize_grads=True, allow_unused=True)
        rows.append(torch.cat([part.flatten() for part in parts]))
    return torch.stack(rows)


@torch.no_grad()
def log_weights(log_joint, family, num_samples, generator=None):
    """log_joint(z) - log q(z) at num_samples draws of q: a NumPy array (S,), in nats.

    A Minibatch is used in full. Raises ValueError for NaN or +inf; -inf is a weight of zero.
    """
    num_samples, generator = validation.integer("num_samples", num_samples), or_seed_zero(generator)
    _check_callables(log_joint, family)
    target, parts = getattr(log_joint, "full", log_joint), []
    for first in range(0, num_samples, CHUNK):
        z = family.sample(min(CHUNK, num_samples - first), generator)
        parts.append(_real(target(z), z) - family.log_prob(z))
    weights = torch.cat(parts).double().numpy()
    if np.isnan(weights).any() or np.isposinf(weights).any():
        raise ValueError("log_joint(z) - log q(z) must be below +inf, got NaN or +inf")
    return weights


def elbo_estimate(log_joint, family, num_samples, generator=None):
    """Monte Carlo ELBO: (estimate, standard_error) in nats; num_samples >= 2.

    Raises ValueError as log_weights does. Holds: estimate <= log evidence up to its error.
    """
    num_samples = validation.integer("num_samples", num_samples, minimum=2)
    terms = log_weights(log_joint, family, num_samples, generator)
    return float(terms.mean()), float(terms.std(ddof=1) / math.sqrt(num_samples))


def probe(log_joint, family, num_samples, estimator):
    """Raise ValueError unless log_joint and family fit each other and the estimator.

    The noise is a generator's of its own, and a Minibatch is asked in full: a fit with the same
    seed draws the same numbers whether or not it is looked at first.
    """
    _check_estimator(estimator, num_samples)
    _check_callables(log_joint, family)
    if not any(p.requires_grad for p in family.parameters()):
        raise ValueError("family must have a parameter that requires a gradient, got none")
    num = family.dim + 1  # so that (D,) cannot pass for (S,)
    z = family.sample(num, torch.Generator().manual_seed(0))
    if tuple(z.shape) != (num, family.dim):
        raise ValueError(f"family.sample must return {(num, family.dim)}, got {tuple(z.shape)}")
    pathwise = estimator in PATHWISE
    if pathwise and not _draw(family, num, torch.Generator().manual_seed(0))[0].requires_grad:
        raise ValueError(
            f"family.sample must carry gradients for estimator={estimator!r}, got samples without; "
            "reparameterise it, or use 'score' or 'score_loo'"
        )
    z = z.detach().requires_grad_(pathwise)
    try:
        values = getattr(log_joint, "full", log_joint)(z)
    except (RuntimeError, IndexError, TypeError) as error:
        raise ValueError(
            f"log_joint must take z of shape (S, D), here {tuple(z.shape)} of {z.dtype} with "
            f"gradients, got an error: {error}"
        ) from error
    if not torch.is_tensor(values) or tuple(values.shape) != (num,):
        got = tuple(values.shape) if hasattr(values, "shape") else type(values).__name__
        raise ValueError(
            f"log_joint must map {tuple(z.shape)} to a tensor ({num},), got {got}; does the family "
            f"have the dimension that it wants?"
        )
    if values.is_complex():
        raise ValueError(f"log_joint must return real numbers, got {values.dtype}")
    if not torch.isfinite(values).all():
        raise ValueError(
            f"log_joint must be finite where q has mass, got {values.detach().tolist()}; write a "
            "bounded z as a function of an unbounded one"
        )
    if pathwise and not values.requires_grad:
        raise ValueError(
            f"log_joint must be differentiable in z for estimator={estimator!r}, got values "
            "without a gradient (NumPy or .detach() inside?); use 'score' or 'score_loo' instead"
        )


def _real(values, z):
    """values, or ValueError unless they are a tensor (S,) of real numbers, for z (S, D)."""
    if not torch.is_tensor(values) or values.shape != z.shape[:1] or values.is_complex():
        came = f"{getattr(values, 'dtype', type(values).__name__)} of shape {np.shape(values)}"
        raise ValueError(
            f"log_joint must map {tuple(z.shape)} to {(len(z),)} real numbers, got {came}"
        )
    return values


def _check_callables(log_joint, family):
    validation.function("log_joint", log_joint)
    validation.methods("family", family, "sample", "log_prob", "parameters")


def _check_estimator(estimator, num_samples):
    validation.one_of("estimator", estimator, ESTIMATORS)
    least = 2 if estimator == "score_loo" else 1
    validation.integer("num_samples", num_samples, minimum=least)


def _draw(family, num_samples, generator):
    """Draws with gradients, (S, D), and the mass of each."""
    if hasattr(family, "stratified"):
        return family.stratified(num_samples, generator)
    return family.sample(num_samples, generator), 1 / num_samples


@contextmanager
def _frozen(family):
    """Inside, what is computed from family has no gradient in its parameters."""
    params = [p for p in family.parameters() if p.requires_grad]
    for p in params:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in params:
            p.requires_grad_(True)
