"""Measures of probabilities and of their paired differences: `p` and `q` are probabilities of the same rows, `y` outcomes."""

import numpy as np
from scipy.stats import rankdata


def losses(p, y):
    p = np.clip(p, 1e-15, 1 - 1e-15)
    return -np.where(y == 1, np.log(p), np.log1p(-p))


def placements(p, y):
    """Per positive and per negative, the share of the other class it beats: DeLong's structural components."""
    positive, negative = p[y == 1], p[y == 0]
    ranks, n, m = rankdata(p), len(positive), len(negative)
    over = (ranks[y == 1] - rankdata(positive)) / m
    under = 1 - (ranks[y == 0] - rankdata(negative)) / n
    return over, under


def auc(p, y):
    return placements(p, y)[0].mean()


def auc_difference(p, q, y):
    """Of AUC(p) - AUC(q): value and standard error (DeLong, DeLong & Clarke-Pearson 1988)."""
    (a, b), (c, d) = placements(p, y), placements(q, y)
    over, under = a - c, b - d
    return over.mean(), np.sqrt(over.var(ddof=1) / len(over) + under.var(ddof=1) / len(under))


def loss_difference(p, q, y):
    """Of the mean log-loss of p less that of q: value and standard error."""
    d = losses(p, y) - losses(q, y)
    return d.mean(), d.std(ddof=1) / np.sqrt(len(d))


def calibration_error(p, y, n_bins=10):
    """Expected calibration error over bins of equal counts."""
    bins = np.array_split(np.argsort(p, kind="stable"), n_bins)
    return sum(len(b) * abs(p[b].mean() - y[b].mean()) for b in bins) / len(p)


def verdict(difference, se):
    return "ahead" if difference > se else "behind" if difference < -se else "level"
