"""The tables on which nextbest and its peers are compared: read, made, and laid in five shuffled folds.

Every table is a pandas frame with numeric and categorical columns, the outcome as 0 or 1, and a fold; the same frame is
written as CSV for nextbest and given to each peer in the form it prefers.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[3]
DATA = Path(os.environ.get("NEXTBEST_DATA", ROOT / "../shared/data"))
N_FOLDS = 5
SEED = 20260101


@dataclass
class Table:
    """Features (categories as pandas categories), outcomes 0/1, fold of each row, and whose row it is."""

    name: str
    features: pd.DataFrame
    outcome: np.ndarray
    fold: np.ndarray
    customer: np.ndarray

    def write(self, path):
        """As nextbest reads it: key, features, outcome, fold."""
        frame = self.features.copy()
        frame.insert(0, "row_key", np.arange(len(frame)))
        frame["outcome"] = self.outcome
        frame["fold"] = self.fold
        frame.to_csv(path, index=False)

    def held_out(self, rows):
        """A tenth of the customers, drawn by a fixed seed: the rows among `rows` on which early stopping looks."""
        drawn = np.random.default_rng(SEED + 1).random(self.customer.max() + 1) < 0.1
        return drawn[self.customer[rows]]

    def categories(self):
        return [c for c in self.features if isinstance(self.features[c].dtype, pd.CategoricalDtype)]


def table(name, frame, outcome, categories=None):
    """Shuffled folds by a fixed seed; text columns become categories."""
    for column in frame.columns:
        text = not pd.api.types.is_numeric_dtype(frame[column])
        if text or (categories and column in categories):
            frame[column] = frame[column].where(frame[column].notna(), "missing").astype(str).astype("category")
        else:
            frame[column] = frame[column].astype(float)
    fold = np.random.default_rng(SEED).permutation(len(frame)) % N_FOLDS
    return Table(name, frame, np.asarray(outcome, dtype=int), fold, np.arange(len(frame)))


def telco():
    frame = pd.read_csv(DATA / "telco_churn.csv.gz")
    frame["TotalCharges"] = pd.to_numeric(frame["TotalCharges"], errors="coerce")
    return table("telco", frame.drop(columns=["customerID", "Churn"]), frame["Churn"] == "Yes")


def bank():
    frame = pd.read_csv(DATA / "bank_marketing_full.csv.gz", sep=None, engine="python")
    return table("bank", frame.drop(columns=["duration", "y"]), frame["y"] == "yes")


def coupon():
    frame = pd.read_csv(DATA / "vehicle_coupon.csv.gz")
    return table("coupon", frame.drop(columns=["Y"]), frame["Y"] == 1)


def synth(n_rows=500_000, n_columns=40):
    """Forty columns, half of them noise: steps, products and a smooth part; an outcome in a quarter of the rows."""
    rng = np.random.default_rng(SEED)
    x = rng.normal(size=(n_rows, n_columns)).astype(np.float32)
    x[:, 30:34] = np.floor(np.exp(x[:, 30:34]) * 2)
    x[rng.random(x.shape) < 0.02] = np.nan
    z = np.nan_to_num(x.astype(float), nan=0.3)
    logit = 0.7 * z[:, 0] - 0.5 * z[:, 1] + 0.8 * z[:, 2] * z[:, 3] + np.sin(2 * z[:, 4]) + 0.9 * (z[:, 5] > 0.5) * (z[:, 6] < 0)
    logit += 0.4 * np.abs(z[:, 7]) - 0.6 * (z[:, 8] ** 2 > 1) + 0.25 * z[:, 9] * (z[:, 10] > 0) * (z[:, 11] > 0) + 0.3 * np.log1p(z[:, 30])
    logit += z[:, 12:20] @ np.linspace(0.05, 0.3, 8)
    outcome = rng.random(n_rows) < 1 / (1 + np.exp(-(logit - 2.0)))
    return table("synth", pd.DataFrame(x, columns=[f"x{i:02}" for i in range(n_columns)]), outcome)


def shop(nextbest, work):
    """The simulated shop's project, trained."""
    project = work / "shop"
    if not project.exists():
        subprocess.run([nextbest, "init", project], check=True, stdout=subprocess.DEVNULL)
        demo(nextbest, project)
    return project


def retail(nextbest, work):
    """Online Retail's project, trained."""
    project = work / "retail"
    if not project.exists():
        shutil.copytree(ROOT / "examples/retail", project)
        demo(nextbest, project, "--data", DATA)
    return project


def demo(nextbest, project, *more):
    command = [nextbest, "demo", "--project", project, "--once", "--port", "0", *more]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def in_time(nextbest, project, name, label):
    """A project's training table for `label` (point in time, several cut-offs), with the part in time of each row; a
    customer's rows share a fold."""
    path = project / "table.csv"
    if not path.exists():
        subprocess.run([nextbest, "dataset", "--project", project, "--out", path], check=True, stdout=subprocess.DEVNULL)
    frame = pd.read_csv(path)
    frame = frame[frame[label].notna()].reset_index(drop=True)
    part = frame[f"{label}_part"].to_numpy()
    customer = frame["customer_id"].astype("category").cat.codes.to_numpy()
    others = [c for c in frame if c in ("customer_id", "cutoff") or c.endswith("_part") or c.removesuffix("_part") + "_part" in frame]
    made = table(name, frame.drop(columns=others), frame[label] == 1)
    made.fold = np.random.default_rng(SEED).permutation(customer.max() + 1)[customer] % N_FOLDS
    made.customer, made.part = customer, part
    return made
