"""Out-of-fold AUC and log-loss of nextbest and its peers on the same folds, with paired standard errors; what a fit costs;
calibration out of time on the shop and on Online Retail. Prints Markdown, each section with its verdict.

    python quality.py path/to/nextbest [work folder] [--without synth,retail]
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

# Idle threads of the peers would spin, and what they burn while others use the machine be counted as their cost.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import pandas as pd
from learners import PEERS, configurations, many
from paired import auc, auc_difference, calibration_error, loss_difference, losses, verdict
from tables import DATA, N_FOLDS, bank, coupon, in_time, retail, shop, synth, telco

LEFT_OUT = sys.argv.pop(sys.argv.index("--without") + 1).split(",") if "--without" in sys.argv else []
ARGUMENTS = [argument for argument in sys.argv[1:] if argument != "--without"]
NEXTBEST = Path(ARGUMENTS[0]).resolve()
WORK = Path(ARGUMENTS[1] if len(ARGUMENTS) > 1 else "target/peers").resolve()
# The targets, as the page states them.
MIN_AHEAD, MOST_CPU, MOST_MEMORY, MOST_CALIBRATION = 3, 1.5, 0.5, 0.5


def told(heading, lines):
    print(f"\n{heading}\n", *lines, sep="\n", flush=True)


def once(name, section):
    """Tells `section()`, (heading, lines, result), and returns its result; one that a run told before it was cut off is told from the work folder."""
    path = WORK / f"{name}.told.json"
    if not path.exists():
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(section()))
        unfinished.rename(path)
    heading, lines, result = json.loads(path.read_text())
    told(heading, lines)
    return result


def peer_scores(peer, table, parts):
    """By configuration: out-of-sample scores of the rows of `parts`, pairs of masks (fitted, scored), and CPU seconds."""
    found = {}
    for name, fit in configurations(peer, table.features).items():
        p, begun = np.full(len(table.outcome), np.nan), time.process_time()
        for fitted, scored in parts:
            predict = fit(table.features[fitted], table.outcome[fitted], table.held_out(fitted))
            p[scored] = predict(table.features[scored])
        found[name] = (p, time.process_time() - begun)
        print(f"{table.name}: {peer} {name}: {found[name][1]:.0f} CPU s", file=sys.stderr, flush=True)
    return found


def nextbest_out_of_fold(table):
    path = WORK / f"{table.name}.csv"
    table.write(path)
    out = WORK / f"{table.name}.predictions.csv"
    categories = ["--category", ",".join(table.categories())] if table.categories() else []
    command = [sys.executable, Path(__file__).parent / "measured.py", NEXTBEST, "fit", "--table", path, "--key", "row_key", "--label", "outcome=1", "--fold-column", "fold",
               "--keep", ",".join(table.features.columns), *categories,
               "--out", WORK / f"{table.name}.nba", "--json", WORK / f"{table.name}.json", "--predictions", out]
    used = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    p = pd.read_csv(out).set_index("row_key")["probability"].reindex(np.arange(len(table.outcome))).to_numpy()
    return p, used


def chosen(report):
    return next(c["learner"] for c in report["propensity"]["candidates"] if c["chosen"])


def compare(table):
    """Section with the verdicts by measure against the best peer, and what nextbest's fit cost."""
    ours, used = nextbest_out_of_fold(table)
    scored = ~np.isnan(ours)
    folds = np.unique(table.fold[scored])
    if many(table.features):
        # Of so many rows one fold tells enough, and a fit of a peer takes minutes.
        folds = folds[:1]
        scored &= np.isin(table.fold, folds)
    y = table.outcome[scored]
    learner = chosen(json.loads((WORK / f"{table.name}.json").read_text()))
    lines = ["| | configuration | AUC | nextbest's lead, +- se | log-loss | nextbest's lead, +- se | CPU s |", "|---|---|---|---|---|---|---|",
             f"| **nextbest** | {learner} | **{auc(ours[scored], y):.4f}** | | **{losses(ours[scored], y).mean():.4f}** | | {used['cpu_s']:.0f} |"]
    leads = {"AUC": [], "log-loss": []}
    for peer in PEERS:
        rows = []
        for name, (p, cpu_s) in peer_scores(peer, table, [(table.fold != k, table.fold == k) for k in folds]).items():
            p = p[scored]
            by_auc, by_loss = auc_difference(ours[scored], p, y), loss_difference(p, ours[scored], y)
            rows.append((name, auc(p, y), by_auc, losses(p, y).mean(), by_loss, cpu_s))
        for name, area, (da, sa), loss, (dl, sl), cpu_s in rows:
            lines.append(f"| {peer} | {name} | {area:.4f} | {da:+.4f} +- {sa:.4f} | {loss:.4f} | {dl:+.4f} +- {sl:.4f} | {cpu_s:.0f} |")
        leads["AUC"] += [(row[2], f"{peer}, {row[0]}", row[1]) for row in rows]
        leads["log-loss"] += [(row[4], f"{peer}, {row[0]}", -row[3]) for row in rows]
    verdicts = {}
    for measure, found in leads.items():
        lead, name, _ = max(found, key=lambda one: one[2])
        verdicts[measure] = (verdict(*lead), name, lead)
    best = "; ".join(f"{measure} {v} ({name}: {d:+.4f} +- {s:.4f})" for measure, (v, name, (d, s)) in verdicts.items())
    heading = f"### {table.name}: {len(table.outcome):,} rows x {table.features.shape[1]}, {len(folds)} of {N_FOLDS} folds scored"
    result = {"verdicts": {measure: v for measure, (v, _, _) in verdicts.items()}, "used": used}
    return heading, [*lines, "", f"Against the best of all: {best}."], result


def quality(makers):
    print("## Quality: out of fold, the same folds, one run\n")
    print("Every configuration of every peer is listed; against each measure stands the best of all of them in hindsight, chosen on\n"
          "the folds themselves, while nextbest's candidate is chosen by its own rule (of equals the simplest). Leads are paired.")
    results = {name: once(name, lambda make=make: compare(make())) for name, make in makers.items() if name not in LEFT_OUT}
    verdicts = {name: result["verdicts"] for name, result in results.items()}
    lines = ["| | AUC | log-loss |", "|---|---|---|"]
    lines += [f"| {name} | {v['AUC']} | {v['log-loss']} |" for name, v in verdicts.items()]
    for measure in ("AUC", "log-loss"):
        found = [v[measure] for v in verdicts.values()]
        behind, ahead = found.count("behind"), found.count("ahead")
        met = "met" if behind == 0 and ahead >= MIN_AHEAD else "missed"
        lines += ["", f"{measure}: behind on {behind}, ahead on {ahead} of {len(found)} tables. "
                      f"Target (behind on none, ahead on at least {MIN_AHEAD}): **{met}**."]
    told("### Sum", lines)
    if "synth" in results:
        once("cost", lambda: cost(table_mb=500_000 * 40 * 8 / 2**20, ours=results["synth"]["used"]))


def cost(table_mb, ours):
    """Section on nextbest's fit of synth beside LightGBM alone with five-fold cross-validation, in a process of its own."""
    command = [sys.executable, "-W", "ignore", Path(__file__).parent / "cost.py", WORK / "synth.csv"]
    theirs = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    above = lambda side: side["peak_mb"] - table_mb
    cpu, memory = ours["cpu_s"] / theirs["cpu_s"], above(ours) / above(theirs)
    row = lambda name, side: f"| {name} | {side['cpu_s']:.0f} | {side['peak_mb']:.0f} | {above(side):.0f} |"
    met = lambda ratio, most: "met" if ratio <= most else "missed"
    return ("## Cost: the whole fit on synth beside LightGBM alone",
         ["nextbest: `fit`, from the CSV file to the sealed artifact, all candidates, report and predictions. LightGBM: five-fold\n"
          "cross-validation of one configuration (300 trees, rate 0.05, 31 leaves) on the same file, read by pandas; its CPU time is\n"
          "without reading. Memory is the peak of the resident set of the process; above the data: less the features as 64-bit\n"
          f"numbers, which either side holds ({table_mb:.0f} MB).\n",
          "| | CPU s | peak MB | above the data |", "|---|---|---|---|", row("**nextbest**, whole fit", ours),
          row("LightGBM, five folds", theirs), "",
          f"CPU {cpu:.2f} times LightGBM's. Target (at most {MOST_CPU}): **{met(cpu, MOST_CPU)}**. "
          f"Memory above the data {memory:.2f} times. Target (at most {MOST_MEMORY}): **{met(memory, MOST_MEMORY)}**."], None)


def out_of_time(project, name, label):
    """Section on the calibration error on the last cut-off: nextbest as trained and sealed, peers fitted on all earlier rows; whether met."""
    table = in_time(NEXTBEST, project, name, label)
    report = json.loads((project / "artifacts/report.json").read_text())
    ours = next(p for p in report["propensities"] if p["name"] == label)["test"]
    fitted, test = np.isin(table.part, ["fit", "calibrate"]), table.part == "test"
    y, error, chance = table.outcome[test], ours["calibration_error"], ours["calibration_error_by_chance"]
    lines = ["| | configuration | AUC | log-loss | calibration error |", "|---|---|---|---|---|",
             f"| **nextbest** | as sealed | {ours['auc']['value']:.4f} | {ours['log_loss']['value']:.4f} | **{error:.4f}** |"]
    found = []
    for peer in PEERS:
        for configuration, (p, _) in peer_scores(peer, table, [(fitted, test)]).items():
            p = p[test]
            found.append((losses(p, y).mean(), calibration_error(p, y), peer))
            lines.append(f"| {peer} | {configuration} | {auc(p, y):.4f} | {found[-1][0]:.4f} | {found[-1][1]:.4f} |")
    # Of each peer the configuration with the least log-loss, of the peers the one best calibrated.
    theirs, best = min(min(one for one in found if one[2] == peer)[1:] for peer in PEERS)
    met = error <= MOST_CALIBRATION * theirs
    lines += ["", f"{error / theirs:.2f} times the best peer's ({best}, {theirs:.4f}). Target (at most {MOST_CALIBRATION}): "
                  f"**{'met' if met else 'missed'}**. A perfect model would show about {chance:.4f} on as many rows by chance."]
    return f"### {name}, {label}: {test.sum():,} rows of the last cut-off", lines, bool(met)


def calibration():
    print("\n## Calibration out of time\n\nPeers are fitted on all rows before the last cut-off and not calibrated further; of each the configuration with the least\n"
          "log-loss there competes. Calibration error: ten bins of equal counts.")
    projects = {name: make for name, make in {"shop": shop, "retail": retail}.items() if name not in LEFT_OUT}
    section = lambda name, label: out_of_time(projects[name](NEXTBEST, WORK), name, label)
    met = [once(f"{name}-{label}", lambda: section(name, label)) for name in projects for label in ("churn", "conversion")]
    told("### Sum", [f"The target is met on {sum(met)} of {len(met)}."])


def without_data(names):
    """Names of what would need the tables of $NEXTBEST_DATA, said aloud, where there are none."""
    if DATA.is_dir():
        return []
    print(f"SKIPPED: {', '.join(names)}: {DATA} is not there (set NEXTBEST_DATA).\n")
    return names


def main():
    LEFT_OUT.extend(without_data(["telco", "bank", "coupon", "retail"]))
    WORK.mkdir(parents=True, exist_ok=True)
    of_shop = lambda: in_time(NEXTBEST, shop(NEXTBEST, WORK), "shop", "conversion")
    quality({"telco": telco, "bank": bank, "coupon": coupon, "shop": of_shop, "synth": synth})
    calibration()


main()
