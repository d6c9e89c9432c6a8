"""Answers to the exercises of notebook 00: each wrong one is refused, each right one accepted."""

import math

import numpy as np
import torch
from scipy import special

# 0.1


def joint_of_lamp(broken, dark_broken, dark_sound):
    return np.array([(1 - broken) * dark_sound, broken * dark_broken])


def lamp_with(change):
    """change(joint over sound and broken, prior of broken) as an answer."""
    return lambda b, db, ds: change(joint_of_lamp(b, db, ds), b)


def lamp_in_log_space(broken, dark_broken, dark_sound):
    log_joint = np.log([1 - broken, broken]) + np.log([dark_sound, dark_broken])
    total = special.logsumexp(log_joint)
    return [total, np.exp(log_joint[1] - total)]


def lamp_by_torch(broken, dark_broken, dark_sound):
    prior, dark = torch.tensor([1 - broken, broken]), torch.tensor([dark_sound, dark_broken])
    joint = prior * dark
    return joint.sum().log(), joint[1] / joint.sum()


# 0.2


def elbo_by_loop(q, joint):
    return sum(a * (math.log(b) - math.log(a)) for a, b in zip(q.tolist(), joint, strict=True))


def kl(a, b):
    return np.sum(a * np.log(a / b))


# 0.3


def translations(q, joint):
    posterior = joint / joint.sum()
    return kl(posterior, q), kl(q, joint)


def translated(change):
    return lambda q, joint: change(q, joint, joint / joint.sum())


EXERCISES = {
    "0.1": {
        "check": "check_lamp",
        "wrong": {
            "bits": lamp_with(lambda j, b: (np.log2(j.sum()), j[1] / j.sum())),
            "no logarithm": lamp_with(lambda j, b: (j.sum(), j[1] / j.sum())),
            "minus the logarithm": lamp_with(lambda j, b: (-np.log(j.sum()), j[1] / j.sum())),
            "prior for posterior": lamp_with(lambda j, b: (np.log(j.sum()), b)),
            "joint for posterior": lamp_with(lambda j, b: (np.log(j.sum()), j[1])),
            "log posterior": lamp_with(lambda j, b: (np.log(j.sum()), np.log(j[1] / j.sum()))),
            "sound for broken": lamp_with(lambda j, b: (np.log(j.sum()), j[0] / j.sum())),
            "odds": lamp_with(lambda j, b: (np.log(j.sum()), j[1] / j[0])),
            "swapped": lamp_with(lambda j, b: (j[1] / j.sum(), np.log(j.sum()))),
            "one state only": lamp_with(lambda j, b: (np.log(j[1]), 1.0)),
            "no prior": lambda b, db, ds: (np.log(db + ds), db / (db + ds)),
            "the numbers of the example": lambda b, db, ds: (np.log(0.37), 0.1 / 0.37),
            "one number": lamp_with(lambda j, b: j[1] / j.sum()),
            "a bright lamp": lambda b, db, ds: (
                np.log(b * (1 - db) + (1 - b) * (1 - ds)),
                b * (1 - db) / (b * (1 - db) + (1 - b) * (1 - ds)),
            ),
            "conditionals swapped": lambda b, db, ds: (
                np.log(b * ds + (1 - b) * db),
                b * ds / (b * ds + (1 - b) * db),
            ),
            "forgotten return": lambda b, db, ds: None,
        },
        "right": {
            "arrays": lamp_with(lambda j, b: (np.log(j.sum()), j[1] / j.sum())),
            "log space, a list": lamp_in_log_space,
            "torch, float32": lamp_by_torch,
        },
    },
    "0.2": {
        "check": "check_discrete_elbo",
        "wrong": {
            "last state forgotten": lambda q, j: np.sum((q * np.log(j / q))[:-1]),
            "two states only": lambda q, j: q[0] * np.log(j[0] / q[0]) + q[1] * np.log(j[1] / q[1]),
            "minus the ELBO": lambda q, j: np.sum(q * np.log(q / j)),
            "entropy forgotten": lambda q, j: np.sum(q * np.log(j)),
            "entropy with the wrong sign": lambda q, j: np.sum(q * np.log(j * q)),
            "weights of the joint": lambda q, j: np.sum(j * np.log(j / q)),
            "the log evidence": lambda q, j: np.log(j.sum()),
            "minus KL": lambda q, j: -kl(q, j / j.sum()),
            "mean instead of sum": lambda q, j: np.mean(q * np.log(j / q)),
            "inside the logarithm": lambda q, j: np.log(np.sum(q * j / q)),
            "bits": lambda q, j: np.sum(q * np.log2(j / q)),
            "not summed": lambda q, j: q * np.log(j / q),
            "largest term": lambda q, j: np.max(np.log(j / q)),
            "quadratic entropy": lambda q, j: q @ np.log(j) - q @ q,
            "forgotten return": lambda q, j: None,
        },
        "right": {
            "one sum": lambda q, j: np.sum(q * np.log(j / q)),
            "a loop": elbo_by_loop,
            "energy and entropy": lambda q, j: q @ np.log(j) + special.entr(q).sum(),
            "evidence minus KL": lambda q, j: np.log(j.sum()) - kl(q, j / j.sum()),
            "float32": lambda q, j: np.float32(np.sum(q * np.log(j / q))),
        },
    },
    "0.3": {
        "check": "check_translations",
        "wrong": {
            "exclusive": translated(lambda q, j, p: (kl(q, p), kl(q, j))),
            "the ELBO itself": translated(lambda q, j, p: (kl(p, q), -kl(q, j))),
            "entropy forgotten": translated(lambda q, j, p: (kl(p, q), -np.sum(q * np.log(j)))),
            "posterior for joint": translated(lambda q, j, p: (kl(p, q), kl(q, p))),
            "joint for posterior": translated(lambda q, j, p: (kl(j, q), kl(q, j))),
            "minus log evidence": translated(lambda q, j, p: (kl(p, q), -np.log(j.sum()))),
            "swapped": translated(lambda q, j, p: (kl(q, j), kl(p, q))),
            "symmetrised": translated(lambda q, j, p: (kl(p, q) + kl(q, p), kl(q, j))),
            "one number": translated(lambda q, j, p: kl(p, q)),
            "arrays": translated(lambda q, j, p: (p * np.log(p / q), q * np.log(q / j))),
            "towards the middle": translated(lambda q, j, p: (kl(q, (q + p) / 2), kl(q, j))),
            "free energy of the posterior": translated(
                lambda q, j, p: (kl(p, q), kl(p, q) - np.log(j.sum()))
            ),
            "forgotten return": lambda q, j: None,
        },
        "right": {
            "numpy": translations,
            "scipy, a list": lambda q, j: [
                special.rel_entr(j / j.sum(), q).sum(),
                special.rel_entr(q, j).sum(),
            ],
            "torch": lambda q, j: tuple(torch.tensor(value) for value in translations(q, j)),
            "one array": lambda q, j: np.array(translations(q, j)),
        },
    },
}
