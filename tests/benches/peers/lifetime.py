"""BG/NBD beside `lifetimes`: the same file, in turns, the same optimum: `python lifetime.py NEXTBEST`.

Each is a process from the CSV to parameters with intervals; nextbest's also tells goodness of fit and seals an artifact. CPU
seconds are those of the process, which a busy machine does not stretch as it does wall time. Of lifetimes the call of
`BetaGeoFitter.fit` alone is told beside, in wall time. Wants lifetimes in the interpreter that runs it. Prints a section
of docs/benchmarks.md.
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


def spent(command):
    """Wall and CPU seconds of a process, and what it printed."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    told = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return time.perf_counter() - began, used.ru_utime + used.ru_stime, json.loads(told)


def peer(path):
    """What a process of lifetimes does; prints the seconds of its fit and the log-likelihood it reached."""
    table = pd.read_csv(path)
    fitter = BetaGeoFitter(penalizer_coef=0.0)
    began = time.perf_counter()
    fitter.fit(table["x"], table["t_x"], table["T"])
    seconds = time.perf_counter() - began
    logs = np.log([fitter.params_[name] for name in ("r", "alpha", "a", "b")])
    columns = [table[name].to_numpy(float) for name in ("x", "t_x", "T")]
    mean = BetaGeoFitter._negative_log_likelihood(logs, *columns, np.ones(len(table)), 0.0)
    print(json.dumps({"fit_s": seconds, "log_likelihood": -mean * len(table)}))


def main():
    warnings.filterwarnings("ignore")
    print(f"## Lifetime value: BG/NBD beside lifetimes {lifetimes.__version__}\n")
    print("In turns on the same file, medians; processes from the file to parameters with intervals, and lifetimes' fit alone.\n")
    print("| customers | nextbest, CPU s | wall s | lifetimes, CPU s | wall s | its fit alone, wall s | log-likelihood | lifetimes' |")
    print("|---|---|---|---|---|---|---|---|")
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
            ours = [NEXTBEST, "fit-clv", "--summary", path, "--out", Path(folder) / "m.nba", "--json"]
            theirs = [sys.executable, "-W", "ignore", __file__, "--peer", path]
            rounds = [(spent(ours), spent(theirs)) for _ in range(n_rounds)]
            wall, cpu = ([statistics.median(one[side][at] for one in rounds) for side in (0, 1)] for at in (0, 1))
            fit = statistics.median(one[1][2]["fit_s"] for one in rounds)
            ratios.append((name, cpu[1] / cpu[0], wall[1] / wall[0], fit / wall[0]))
            likelihoods = [one[2]["log_likelihood"] for one in rounds[-1]]
            print(f"| {name} | {cpu[0]:.3f} | {wall[0]:.3f} | {cpu[1]:.3f} | {wall[1]:.3f} | {fit:.3f} "
                  f"| {likelihoods[0]:.3f} | {likelihoods[1]:.3f} |", flush=True)
    print()
    for name, cpu, wall, fit in ratios:
        print(f"{name}: lifetimes takes {cpu:.1f} times the CPU and {wall:.1f} times the wall time; its fit alone {fit:.1f} times "
              "the wall time of all that nextbest does.")
    ratios = [cpu for _, cpu, _, _ in ratios]
    verdict = "met" if min(ratios) >= TARGET else "**missed**"
    print(f"\nTarget (at least {TARGET} times as fast on both, by CPU): {verdict}.")


if sys.argv[1] == "--peer":
    warnings.filterwarnings("ignore")
    peer(sys.argv[2])
else:
    main()
