"""BG/NBD beside `lifetimes`: the same customers, in turns, the same optimum: `python lifetime.py NEXTBEST`.

Ours is the whole command, from the CSV to parameters with intervals, goodness of fit and a sealed artifact; theirs is the
call of `BetaGeoFitter.fit` alone, in a process that has read the table already. So the ratio is a lower bound. Wants
lifetimes in the interpreter that runs it. Prints a section of docs/benchmarks.md.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import lifetimes
import numpy as np
import pandas as pd
from lifetimes import BetaGeoFitter

NEXTBEST = sys.argv[1]
DATA = Path(os.environ.get("NEXTBEST_DATA", Path(__file__).parents[4] / "shared/data"))
TARGET = 20


def drawn(n, seed):
    """Customers by the model's own story, r .8, alpha 6, a 1.2, b 3, in weeks of whole days, as shops know them."""
    rng = np.random.default_rng(seed)
    age = rng.integers(189, 273, n).astype(float)
    rate, leaves = rng.gamma(0.8, 1 / 6.0, n) / 7, rng.beta(1.2, 3.0, n)
    now, x, t_x, there = np.zeros(n), np.zeros(n, int), np.zeros(n), np.arange(n)
    while len(there):
        now[there] += rng.exponential(size=len(there)) / rate[there]
        there = there[np.ceil(now[there]) <= age[there]]
        day = np.ceil(now[there])
        x[there] += day > t_x[there]
        t_x[there] = day
        there = there[rng.random(len(there)) >= leaves[there]]
    return pd.DataFrame({"x": x, "t_x": t_x / 7, "T": age / 7})


def ours(path, artifact):
    began = time.perf_counter()
    told = subprocess.run([NEXTBEST, "fit-clv", "--summary", path, "--out", artifact, "--json"], check=True, capture_output=True)
    seconds = time.perf_counter() - began
    report = json.loads(told.stdout)
    return seconds, report["log_likelihood"], [report["parameters"][name]["value"] for name in ("r", "alpha", "a", "b")]


def theirs(table):
    fitter = BetaGeoFitter(penalizer_coef=0.0)
    began = time.perf_counter()
    fitter.fit(table["x"], table["t_x"], table["T"])
    seconds = time.perf_counter() - began
    return seconds, -fitter._negative_log_likelihood_ * len(table), [fitter.params_[name] for name in ("r", "alpha", "a", "b")]


def main():
    warnings.filterwarnings("ignore")
    print(f"## Lifetime value: BG/NBD beside lifetimes {lifetimes.__version__}\n")
    print("In turns on the same customers. nextbest is the whole command, reading the table included; lifetimes is its fit alone.\n")
    print("| customers | nextbest, s | lifetimes, s | times nextbest's | log-likelihood | lifetimes' | rounds |\n|---|---|---|---|---|---|---|")
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        cases = [("1,000,000 drawn", drawn(1_000_000, 1), 3)]
        if (DATA / "cdnow_customers_summary_with_transactions.csv.gz").exists():
            table = pd.read_csv(DATA / "cdnow_customers_summary_with_transactions.csv.gz")
            cases.insert(0, (f"{len(table):,} of CDNOW", table, 11))
        else:
            print("SKIPPED: CDNOW is not there (NEXTBEST_DATA)", file=sys.stderr)
        for name, table, n_rounds in cases:
            path = Path(folder) / "customers.csv"
            table.to_csv(path, index=False)
            rounds = [(ours(path, Path(folder) / "m.nba"), theirs(table)) for _ in range(n_rounds)]
            seconds = [statistics.median(one[side][0] for one in rounds) for side in (0, 1)]
            ratios.append(seconds[1] / seconds[0])
            likelihoods = [one[1] for one in rounds[-1]]
            print(f"| {name} | {seconds[0]:.3f} | {seconds[1]:.3f} | {ratios[-1]:.1f} | {likelihoods[0]:.3f} | {likelihoods[1]:.3f} | {n_rounds} |", flush=True)
    verdict = "met" if min(ratios) >= TARGET else "**missed**"
    print(f"\nTarget (at least {TARGET} times as fast on both): {verdict}.")


main()
