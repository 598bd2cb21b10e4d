"""Out-of-fold AUC and log-loss of nextbest and its peers on the same folds, with paired standard errors; calibration
out of time on the shop and on Online Retail. Prints Markdown.

    python quality.py path/to/nextbest [work folder] [--without synth]
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from learners import PEERS
from scipy.stats import rankdata
from tables import DATA, N_FOLDS, bank, coupon, in_time, shop, synth, telco

NEXTBEST = Path(sys.argv[1]).resolve()
WORK = Path(sys.argv[2] if len(sys.argv) > 2 else "target/peers").resolve()
LEFT_OUT = sys.argv[sys.argv.index("--without") + 1].split(",") if "--without" in sys.argv else []


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
    """Of AUC(p) - AUC(q) on the same rows: value and standard error (DeLong, DeLong & Clarke-Pearson 1988)."""
    (a, b), (c, d) = placements(p, y), placements(q, y)
    over, under = a - c, b - d
    return over.mean(), np.sqrt(over.var(ddof=1) / len(over) + under.var(ddof=1) / len(under))


def loss_difference(p, q, y):
    """Of the mean log-loss of p less that of q on the same rows: value and standard error."""
    d = losses(p, y) - losses(q, y)
    return d.mean(), d.std(ddof=1) / np.sqrt(len(d))


def calibration_error(p, y, n_bins=10):
    """Expected calibration error over bins of equal counts."""
    bins = np.array_split(np.argsort(p, kind="stable"), n_bins)
    return sum(len(b) * abs(p[b].mean() - y[b].mean()) for b in bins) / len(p)


def peers_out_of_fold(table, folds):
    scores, seconds = {}, {}
    for name, fit in PEERS.items():
        p, begun = np.full(len(table.outcome), np.nan), time.process_time()
        for k in folds:
            kept, out = table.fold != k, table.fold == k
            p[out] = fit(table.features[kept], table.outcome[kept])(table.features[out])
        scores[name], seconds[name] = p, time.process_time() - begun
    return scores, seconds


def nextbest_out_of_fold(table):
    path = WORK / f"{table.name}.csv"
    table.write(path)
    out = WORK / f"{table.name}.predictions.csv"
    categories = ["--category", ",".join(table.categories())] if table.categories() else []
    command = [NEXTBEST, "fit", "--table", path, "--key", "row_key", "--label", "outcome=1", "--fold-column", "fold",
               "--keep", ",".join(table.features.columns), *categories,
               "--out", WORK / f"{table.name}.nba", "--json", WORK / f"{table.name}.json", "--predictions", out]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    assert status == 0, f"{table.name}: nextbest fit ended with {status}"
    told = pd.read_csv(out).set_index("row_key")["probability"]
    return told.reindex(np.arange(len(table.outcome))).to_numpy(), used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def compare(table):
    """A table of Markdown, and whether nextbest is behind or ahead of the best peer by each measure."""
    ours, cpu_s, peak_mb = nextbest_out_of_fold(table)
    scored = ~np.isnan(ours)
    folds = np.unique(table.fold[scored])
    scores, seconds = peers_out_of_fold(table, folds)
    y = table.outcome[scored]
    print(f"\n### {table.name}: {len(table.outcome):,} rows x {table.features.shape[1]}, {len(folds)} of {N_FOLDS} folds scored\n")
    print("| | AUC | nextbest's lead, +- se | log-loss | nextbest's lead, +- se | CPU s |\n|---|---|---|---|---|---|")
    report = json.loads((WORK / f"{table.name}.json").read_text())
    print(f"| **nextbest** ({chosen(report)}) | **{auc(ours[scored], y):.4f}** | | **{losses(ours[scored], y).mean():.4f}** | | {cpu_s:.0f}, peak {peak_mb:.0f} MB |")
    leads = []
    for name, p in scores.items():
        p = p[scored]
        (da, sa), (dl, sl) = auc_difference(ours[scored], p, y), loss_difference(p, ours[scored], y)
        leads.append((name, auc(p, y), da, sa, losses(p, y).mean(), dl, sl))
        print(f"| {name} | {auc(p, y):.4f} | {da:+.4f} +- {sa:.4f} | {losses(p, y).mean():.4f} | {dl:+.4f} +- {sl:.4f} | {seconds[name]:.0f} |")
    best_auc, best_loss = max(leads, key=lambda l: l[1]), min(leads, key=lambda l: l[4])
    verdict = lambda d, s: "ahead" if d > s else "behind" if d < -s else "level"
    told = (verdict(best_auc[2], best_auc[3]), verdict(best_loss[5], best_loss[6]))
    print(f"\nAgainst the best peer: AUC {told[0]} ({best_auc[0]}), log-loss {told[1]} ({best_loss[0]}).", flush=True)
    return told


def cost(table):
    """The whole fit beside LightGBM alone with five-fold cross-validation, a process each."""
    child = subprocess.Popen([sys.executable, "-W", "ignore", Path(__file__).parent / "cost.py", WORK / f"{table.name}.csv"], stdout=subprocess.PIPE, text=True)
    told, _ = child.communicate()
    print(f"\nLightGBM alone, five-fold cross-validation of its first configuration: {told.strip()}.", flush=True)


def chosen(report):
    candidates = report["propensity"]["candidates"] if "propensity" in report else report["candidates"]
    return next(c["learner"] for c in candidates if c["chosen"])


def out_of_time(project, name, label):
    """Calibration error on the last cut-off: nextbest as trained and sealed, peers fitted on all earlier rows."""
    table = in_time(NEXTBEST, project, name, label)
    report = json.loads((project / "artifacts/report.json").read_text())
    ours = next(p for p in report["propensities"] if p["name"] == label)["test"]
    fitted, test = np.isin(table.part, ["fit", "calibrate"]), table.part == "test"
    y = table.outcome[test]
    print(f"\n### {name}, {label}: {test.sum():,} rows of the last cut-off\n\n| | AUC | log-loss | calibration error |\n|---|---|---|---|")
    print(f"| **nextbest** | {ours['auc']['value']:.4f} | {ours['log_loss']['value']:.4f} | **{ours['calibration_error']:.4f}** (by chance {ours['calibration_error_by_chance']:.4f}) |")
    for peer, fit in PEERS.items():
        p = fit(table.features[fitted], table.outcome[fitted])(table.features[test])
        print(f"| {peer} | {auc(p, y):.4f} | {losses(p, y).mean():.4f} | {calibration_error(p, y):.4f} |", flush=True)


def main():
    WORK.mkdir(parents=True, exist_ok=True)
    print("## Quality: out of fold, the same folds, one run")
    makers = {"telco": telco, "bank": bank, "coupon": coupon, "shop": lambda: shop(NEXTBEST, WORK), "synth": synth}
    told = {}
    for name, make in makers.items():
        if name not in LEFT_OUT:
            table = make()
            told[name] = compare(table)
            if name == "synth":
                cost(table)
    print("\n### Sum\n\n| | AUC | log-loss |\n|---|---|---|")
    for name, (a, l) in told.items():
        print(f"| {name} | {a} | {l} |")
    print("\n## Calibration out of time")
    for label in ("churn", "conversion"):
        out_of_time(WORK / "shop", "shop", label)
    retail = WORK / "retail"
    if not retail.exists():
        subprocess.run(["cp", "-r", Path(__file__).resolve().parents[3] / "examples/retail", retail], check=True)
        subprocess.run([NEXTBEST, "demo", "--project", retail, "--once", "--port", "0", "--data", DATA], check=True, stdout=subprocess.DEVNULL)
    for label in ("churn", "conversion"):
        out_of_time(retail, "retail", label)


main()
