"""torch's generators: every torch function of the course that is given none takes seed 0."""

import torch

from vi_helpers import validation


def or_seed_zero(generator):
    """generator, or a new one with seed 0 in place of None; ValueError for anything else."""
    return torch.Generator().manual_seed(0) if generator is None else checked(generator)


def checked(generator):
    """generator, or ValueError unless it is a torch.Generator."""
    return validation.instance("generator", generator, torch.Generator)
