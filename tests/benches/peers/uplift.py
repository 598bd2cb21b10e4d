"""Uplift of the Hillstrom mails: nextbest beside a T-learner on LightGBM, on the same folds, several seeds of folds averaged,
with paired standard errors. Prints Markdown.

    python uplift.py path/to/nextbest [work folder] [--seeds 5]
"""

import json
import subprocess
import sys
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
from paired import verdict
from tables import DATA, N_FOLDS

N_SEEDS = int(sys.argv.pop(sys.argv.index("--seeds") + 1)) if "--seeds" in sys.argv else 5
ARGUMENTS = [argument for argument in sys.argv[1:] if argument != "--seeds"]
NEXTBEST = Path(ARGUMENTS[0]).resolve()
WORK = Path(ARGUMENTS[1] if len(ARGUMENTS) > 1 else "target/peers").resolve()
CONTROL, TOP = "No E-Mail", 0.3


def arms(treatment):
    """Rows of both arms: features, whether treated, whether they visited."""
    frame = pd.read_csv(DATA / "hillstrom.csv.gz")
    frame = frame[frame["segment"].isin([treatment, CONTROL])].reset_index(drop=True)
    features = frame.drop(columns=["segment", "visit", "conversion", "spend"])
    for column in features:
        if not pd.api.types.is_numeric_dtype(features[column]):
            features[column] = features[column].astype("category")
    return frame, features, (frame["segment"] == treatment).to_numpy(), frame["visit"].to_numpy(float)


def t_learner(features, treated, y, fold, settings):
    """Out of fold, the difference of two classifiers' probabilities."""
    found = np.full(len(y), np.nan)
    for k in range(N_FOLDS):
        model = [lgb.LGBMClassifier(verbosity=-1, n_jobs=1, **settings).fit(features[(fold != k) & arm], y[(fold != k) & arm])
                 for arm in (treated, ~treated)]
        on, off = (one.predict_proba(features[fold == k])[:, 1] for one in model)
        found[fold == k] = on - off
    return found


def ours(frame, fold, treatment, learner):
    table, told, out = WORK / "uplift.csv", WORK / "uplift.json", WORK / "uplift.predictions.csv"
    frame.assign(row_key=np.arange(len(frame)), fold=fold).to_csv(table, index=False)
    command = [NEXTBEST, "fit-uplift", "--table", table, "--key", "row_key", "--treated", f"segment={treatment}", "--control",
               f"segment={CONTROL}", "--outcome", "visit", "--drop", "conversion,spend", "--fold-column", "fold", "--learner", learner,
               "--json", told, "--predictions", out]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    scores = pd.read_csv(out).set_index("row_key")["uplift"].reindex(np.arange(len(frame))).to_numpy()
    return scores, json.loads(told.read_text())["learner"]


def top_share(scores, treated, y, fold):
    """Difference of means among the top of every fold, and what each row adds to its error. Equals are drawn at random, by a fixed seed."""
    inside = np.zeros(len(y), bool)
    shuffled = np.random.default_rng(1).permutation(len(y))
    for k in range(N_FOLDS):
        rows = shuffled[fold[shuffled] == k]
        rows = rows[np.argsort(-scores[rows], kind="stable")]
        inside[rows[: round(TOP * len(rows))]] = True
    on, off = inside & treated, inside & ~treated
    value = y[on].mean() - y[off].mean()
    return value, on * (y - y[on].mean()) / on.sum() - off * (y - y[off].mean()) / off.sum()


def qini(scores, treated, y, fold):
    """Area between uplift curve and the random line, by inverse probabilities, ranks within folds, and rows' parts of its error."""
    share = treated.mean()
    gain = np.where(treated, (y - y.mean()) / share, -(y - y.mean()) / (1 - share))
    rank = np.empty(len(y))
    for k in range(N_FOLDS):
        rows = np.flatnonzero(fold == k)
        rank[rows] = (pd.Series(-scores[rows]).rank().to_numpy() - 0.5) / len(rows)
    terms = gain * (0.5 - rank)
    return terms.mean(), (terms - terms.mean()) / len(y)


def compare(treatment):
    frame, features, treated, y = arms(treatment)
    peers = {"LightGBM, T-learner": {}, "LightGBM, T-learner, small trees": {"num_leaves": 8, "learning_rate": 0.05, "min_child_samples": 100}}
    names = [*peers, *(f"nextbest, {learner}" for learner in ("auto", "best", "x", "dr", "t"))]
    found, chosen = {name: [] for name in names}, []
    for seed in range(N_SEEDS):
        fold = np.random.default_rng(seed).permutation(len(y)) % N_FOLDS
        for name in names:
            if name in peers:
                scores = t_learner(features, treated, y, fold, peers[name])
            else:
                scores, learner = ours(frame, fold, treatment, name.split(", ")[1])
                chosen += [learner] if name.endswith("auto") else []
            found[name].append((top_share(scores, treated, y, fold), qini(scores, treated, y, fold)))
        print(f"{treatment}: seed {seed}", file=sys.stderr, flush=True)

    def averaged(name, measure):
        values, errors = zip(*(one[measure] for one in found[name]))
        return np.mean(values), np.mean(errors, axis=0)

    lines = ["| | top 30 %, points | less the peer's | Qini, 1e-4 | less the peer's | |", "|---|---|---|---|---|---|"]
    base = [averaged(names[0], measure) for measure in (0, 1)]
    for name in names:
        cells, verdicts = [], []
        for measure, unit in ((0, 100), (1, 1e4)):
            value, error = averaged(name, measure)
            difference, se = value - base[measure][0], np.sqrt(((error - base[measure][1]) ** 2).sum())
            cells.append(f"{unit * value:.2f} ({unit * np.sqrt((error ** 2).sum()):.2f})")
            cells.append("" if name == names[0] else f"{unit * difference:+.2f} ({unit * se:.2f})")
            verdicts.append(verdict(difference, se))
        lines.append(f"| {name} | {' | '.join(cells)} | {'' if name == names[0] else ', '.join(verdicts)} |")
    counts = ", ".join(f"{learner} {chosen.count(learner)} times" for learner in sorted(set(chosen)))
    print(f"\n### {treatment} against {CONTROL}: {len(y):,} rows\n", *lines, f"\nauto takes: {counts}.", sep="\n", flush=True)


def biased():
    """Average effects of three mails sent by rule, beside the same mails sent at random."""
    lines = ["| mail | at random | by rule: difference of means | adjusted | rows of either arm | beyond 0.01 to 0.99 |", "|---|---|---|---|---|---|"]
    shown = lambda one: f"{100 * one['value']:.2f} ({100 * one['lo']:.2f} to {100 * one['hi']:.2f})"
    for mail in ("em1", "em2", "em3"):
        told = {}
        for kind in ("rnd", "biased"):
            command = [NEXTBEST, "fit-uplift", "--table", DATA / f"synthetic_invest_email_{kind}.csv.gz", "--treated", f"{mail}=1", "--control",
                       f"{mail}=0", "--outcome", "converted", "--learner", "constant", "--json"]
            told[kind] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        random, rule = told["rnd"]["effect"]["difference_of_means"], told["biased"]["effect"]
        n_extreme = told["biased"]["assignment"]["overlap"]["n_extreme"]
        lines.append(f"| {mail} | {shown(random)} | {shown(rule['difference_of_means'])} | {shown(rule['adjusted'])} | "
                     f"{shown(rule['overlapping']['effect'])} | {n_extreme:,} |")
    print("\n### Mails sent by rule: average effect, points, 95 %\n", *lines, sep="\n", flush=True)


def main():
    if not (DATA / "hillstrom.csv.gz").exists():
        print(f"\n## Uplift\n\nSKIPPED: {DATA} is not there (set NEXTBEST_DATA).")
        return
    WORK.mkdir(parents=True, exist_ok=True)
    print("## Uplift: out of fold, the same folds\n")
    print(f"Difference of means among the 30 % of every fold with the largest predicted uplift, and the Qini coefficient; means over {N_SEEDS} "
          "seeds of five folds; in brackets standard errors, those of differences paired. The learners' settings were chosen while looking at these tables, "
          "and `auto` and `best` choose on the rows they are judged on, which flatters them a little; `x`, `dr` and `t` choose nothing. Where `auto` takes "
          "one effect for everybody its order is chance.")
    compare("Mens E-Mail")
    compare("Womens E-Mail")
    biased()


main()
