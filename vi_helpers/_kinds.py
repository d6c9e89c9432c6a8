"""Engine of validation: checks of what is no array of numbers."""

import numbers

import numpy as np


def integer(name, value, *, minimum=1):
    """Return value as int, or raise ValueError unless it is a whole number >= minimum."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < minimum:
        raise ValueError(f"{name} must be an integer >= {minimum}, got {value!r}")
    return int(value)


def flag(name, value):
    """Return value as bool, or raise ValueError unless it is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def one_of(name, value, allowed):
    """Return value, or raise ValueError unless it is one of the allowed ones."""
    plain = isinstance(value, (str, numbers.Number, np.generic))  # an array compares elementwise
    if not (plain and value in allowed):
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
    return value


def instance(name, value, kind):
    """Return value, or raise ValueError unless it is an instance of kind, a class."""
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be a {kind.__name__}, got {type(value).__name__}")
    return value


def methods(name, value, *wanted):
    """Return value, or raise ValueError unless it has these methods."""
    missing = [one for one in wanted if not callable(getattr(value, one, None))]
    if missing:
        what = f"{type(value).__name__} without {', '.join(missing)}"
        raise ValueError(f"{name} must have the method(s) {', '.join(wanted)}, got {what}")
    return value


def function(name, value):
    """Return value, or raise ValueError unless it can be called."""
    if not callable(value):
        raise ValueError(f"{name} must be a function, got {type(value).__name__}")
    return value


def generator(name, rng):
    """Return rng, or raise ValueError unless it is a numpy.random.Generator."""
    if not isinstance(rng, np.random.Generator):
        raise ValueError(f"{name} must be a numpy.random.Generator, got {type(rng).__name__}")
    return rng
