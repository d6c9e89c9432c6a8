"""What every fit returns, and the one loop that climbs a bound."""

import sys
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from vi_helpers import validation


class ConvergenceWarning(UserWarning):
    """A fit reached max_iter before its tolerance."""


@dataclass(frozen=True)
class FitResult:
    """The outcome of an iterative fit.

    params    : the fitted parameters, of the type the fit documents
    elbos     : (n_iter + 1,) objective after each iteration, in nats for the whole data set,
                with all constants; elbos[0] belongs to the starting point
    converged : whether the tolerance was met
    n_iter    : iterations run
    """

    params: Any
    elbos: np.ndarray
    converged: bool
    n_iter: int

    @property
    def elbo(self):
        """The last entry of the trace, in nats."""
        return float(self.elbos[-1])


def climb(name, start, update, bound, *, max_iter, tol):
    """Repeat state = update(state) until bound(state) changes by less than tol, in nats.

    name     : the public function that climbs, for the warning
    start    : any state; update : state -> state; bound : state -> float, nats
    max_iter : most iterations, >= 1
    tol      : >= 0; with 0 all max_iter iterations run, without a warning
    Returns a FitResult whose params is the last state.
    Raises ValueError for a bad max_iter or tol, and when the bound is not finite.
    Warns once, at the line of the caller outside this package, when max_iter comes first.
    """
    validation.function("update", update)
    validation.function("bound", bound)
    max_iter = validation.integer("max_iter", max_iter)
    tol = tolerance(tol)
    state, elbos, converged = start, [_finite(name, bound(start), 0)], False
    while not converged and len(elbos) <= max_iter:
        state = update(state)
        elbos.append(_finite(name, bound(state), len(elbos)))
        converged = abs(elbos[-1] - elbos[-2]) < tol
    if not converged and tol > 0:
        warn_not_converged(name, max_iter, abs(elbos[-1] - elbos[-2]), tol)
    return FitResult(state, np.array(elbos), converged, len(elbos) - 1)


def tolerance(tol):
    """Return tol as a float, or raise ValueError unless it is a finite number >= 0."""
    tol = validation.number("tol", tol)
    if tol < 0:
        raise ValueError(f"tol must be >= 0, got {tol:g}")
    return tol


def warn_not_converged(name, n_iter, change, tol, quantity="change of the bound, in nats,"):
    """Warn once, at the caller's line, that name stopped early; quantity says what tol bounds."""
    warnings.warn(
        f"{name} did not converge in {n_iter} iteration(s): the last {quantity} was "
        f"{change:.3g}, tol is {tol:.3g}; raise max_iter or accept the looser fit",
        ConvergenceWarning,
        stacklevel=_levels_to_the_caller(),
    )


def _finite(name, value, iteration):
    try:
        value = float(value)
    except (TypeError, ValueError) as error:
        came = type(value).__name__
        raise ValueError(f"{name}: bound must return one number, got {came}") from error
    if not np.isfinite(value):
        raise ValueError(f"{name}: the bound is {value} after iteration {iteration}")
    return value


def _levels_to_the_caller():
    """The stacklevel, seen from warn_not_converged, of the first frame outside the package."""
    frame, level = sys._getframe(2), 2
    package = __name__.partition(".")[0]
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        frame, level = frame.f_back, level + 1
    return level
