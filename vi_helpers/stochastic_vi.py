"""Black-box variational inference: any differentiable log joint, any family that can be sampled.

A log joint maps z, (S, D) -> (S,), in nats, with torch operations; it need not normalise.
A family is an nn.Module with dim, sample(S, generator) -> (S, D) and log_prob(z) -> (S,);
one without differentiable samples (a mixture) has stratified(S, generator) -> (z, mass) besides.
The ELBO is E_q[log_joint(z) - log q(z)], and its gradient is estimated in one of four ways:

reparam   : differentiate the whole bracket along z = g(eps, phi)
stl       : the same, but log q(z) is differentiated through z only ("sticking the landing");
            no noise at all where q is the posterior. Roeder, Wu, Duvenaud 2017
score     : (bracket) times grad log q(z); log_joint needs no gradient. Ranganath et al. 2014
score_loo : the same, minus the mean bracket of the other S - 1 samples. Kool et al. 2019
"""

import math
import sys
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from vi_helpers import validation
from vi_helpers._seeding import or_seed_zero
from vi_helpers._vi_families import CouplingFlow as CouplingFlow
from vi_helpers._vi_families import DiagonalNormal as DiagonalNormal
from vi_helpers._vi_families import FullNormal as FullNormal
from vi_helpers._vi_families import MixtureNormal as MixtureNormal
from vi_helpers._vi_gradients import Minibatch as Minibatch
from vi_helpers._vi_gradients import elbo_estimate, probe
from vi_helpers._vi_gradients import gradient_samples as gradient_samples
from vi_helpers._vi_gradients import log_weights as log_weights
from vi_helpers._vi_gradients import surrogate as surrogate
from vi_helpers._vi_steps import Adam, WindowMean, estimator_of
from vi_helpers.results import FitResult, tolerance, warn_not_converged

FINAL_SAMPLES = 1000
NEGLIGIBLE = 1e-3  # nats


@dataclass(frozen=True)
class StochasticFit(FitResult):
    """A FitResult from noisy gradients.

    params     : the family that was passed in, now at the result
    elbos      : (n_iter + 1,), in nats: the estimate that each step used, then one of the result
                 from at least 1000 samples (and all rows, for a Minibatch)
    elbo_error : standard error of the last entry
    """

    elbo_error: float


def fit_stochastic(
    log_joint, family, *, num_steps, num_samples, lr, generator=None, progress=True,
    estimator="stl", tol=0.0, window=None, decay=None, average=True,
):  # fmt: skip
    """Climb the ELBO with Adam on noisy gradients; family is changed in place.

    log_joint   : z (S, D) -> (S,), in nats, differentiable; or a Minibatch
    family      : the q to start from; a second call goes on from where the first ended
    num_samples : draws for one gradient, >= 1 (>= 2 for score_loo)
    generator   : source of all randomness (a new one with seed 0 when None)
    estimator   : "reparam", "stl", "score" or "score_loo"
    tol         : > 0: stop when the estimates rose by less than tol nats from one window to the
                  next, with two standard errors counted against it; 0: run all steps
    window      : steps that are compared and averaged (a tenth of num_steps when None)
    decay       : let lr fall linearly to zero over the second half of num_steps; None means
                  only with tol = 0, for the rule must not take a small step for rest
    average     : return the mean of the parameters over the last one or two windows
    Returns a StochasticFit; converged says that tol was met or, with tol = 0, that over the last
    two windows no rise beyond two standard errors and 0.001 nats is seen (a weak sign where the
    step falls). Interrupting (Ctrl-C, Jupyter's stop button) keeps the fit so far. Not
    results.climb: its rule takes one change of the bound at its word, and here each is noisy.
    Raises ValueError for bad arguments or a log_joint that does not fit the family, and
    FloatingPointError, which names the step, when the fit diverges.
    """
    num_steps = validation.integer("num_steps", num_steps)
    lr = validation.positive_number("lr", lr)
    window = max(10, num_steps // 10) if window is None else window
    window = validation.integer("window", window, minimum=2)
    tol, generator = tolerance(tol), or_seed_zero(generator)
    probe(log_joint, family, num_samples, estimator)
    validation.flag("progress", progress)
    validation.flag("average", average)
    climber, window_mean = Adam(family), WindowMean()
    estimates = estimator_of(log_joint, family, climber.params, num_samples, generator, estimator)
    decay = tol == 0 if decay is None else validation.flag("decay", decay)
    trace, met, interrupted = [], False, False
    bar = tqdm(total=num_steps, disable=not progress, file=sys.stdout, mininterval=1.0, ncols=90)
    try:
        for step in range(num_steps):
            elbo, slopes = estimates()
            trace.append(_checked(elbo, slopes, step))
            climber.step(slopes, lr * min(1.0, 2 - 2 * step / num_steps) if decay else lr)
            window_mean.add(climber.values)
            bar.update()
            if (step + 1) % window == 0:
                bar.set_postfix_str(f"ELBO {np.mean(trace[-window:]):.3f}", refresh=False)
                rise, error = _rise(trace, window)
                met = tol > 0 and rise + 2 * error < tol
                if met:
                    break
                window_mean.next_window()
    except KeyboardInterrupt:
        print(f"\ninterrupted at step {len(trace)} of {num_steps}: the fit so far is kept")
        interrupted = True
    finally:
        bar.close()
    if average and window_mean.count:
        climber.write(window_mean())
    elbo = elbo_estimate(log_joint, family, max(FINAL_SAMPLES, num_samples), generator)
    rise, error = _rise(trace, window)
    if tol == 0:
        met = not interrupted and error < math.inf and rise <= 2 * error + NEGLIGIBLE
    elif not met and not interrupted:
        what = "rise of the ELBO plus two standard errors, in nats,"
        warn_not_converged("fit_stochastic", num_steps, rise + 2 * error, tol, what)
    return StochasticFit(family, np.array([*trace, elbo[0]]), met, len(trace), elbo[1])


def _checked(elbo, slopes, step):
    """The ELBO; FloatingPointError unless it and its gradient are finite."""
    slope = slopes.sum().item()
    if not math.isfinite(elbo + slope):  # before the step, so that the family stays finite
        raise FloatingPointError(
            f"fit_stochastic diverged at step {step}: the ELBO is {elbo:g}, the sum of its "
            f"gradient {slope:g}; try a smaller lr, more samples or a start closer to the target"
        )
    return elbo


def _rise(trace, window):
    """How much the mean of the last window is above that of the one before, and the error."""
    if len(trace) < 2 * window:
        return math.inf, math.inf
    late, early = np.array(trace[-window:]), np.array(trace[-2 * window : -window])
    error = math.sqrt((late.var(ddof=1) + early.var(ddof=1)) / window)
    return float(late.mean() - early.mean()), error
