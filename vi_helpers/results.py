"""What every fit returns, and the one warning for a fit that stopped too early."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np


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


def warn_not_converged(name, n_iter, change, tol):
    """Warn once that the fit called name stopped early; change and tol in nats."""
    warnings.warn(
        f"{name} did not converge in {n_iter} iterations: the last change was {change:.3g} nats, "
        f"tol is {tol:.3g}; raise max_iter or accept the looser fit",
        ConvergenceWarning,
        stacklevel=3,
    )
