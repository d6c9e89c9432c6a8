"""torch's generators: every torch function of the course that is given none takes seed 0."""

import torch


def or_seed_zero(generator):
    """generator, or a new one with seed 0 in place of None; ValueError for anything else."""
    return torch.Generator().manual_seed(0) if generator is None else checked(generator)


def checked(generator):
    """generator, or ValueError unless it is a torch.Generator."""
    if not isinstance(generator, torch.Generator):
        raise ValueError(f"generator must be a torch.Generator, got {type(generator).__name__}")
    return generator
