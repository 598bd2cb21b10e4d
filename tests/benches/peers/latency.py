"""What a row costs: the same LightGBM models scored by nextbest and by its peers, in turns, in one run. Prints Markdown.

    python latency.py path/to/nextbest path/to/row-bench [work folder]

Each round runs every program once; a figure is the median over rounds of the median over runs. Times are of this machine
in this hour; the ratios are what lasts.
"""

import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import lightgbm as lgb
import numpy as np
import onnxruntime
import tl2cgen
import treelite
import xgboost as xgb
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

NEXTBEST, ROW_BENCH = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
WORK = Path(sys.argv[3] if len(sys.argv) > 3 else "target/peers").resolve()
HERE = Path(__file__).resolve().parent
N_ROUNDS = 5
N_ROWS = 4096
SHAPES = [("500 trees x 31 leaves, 15 features", 500, 31, 15), ("300 trees x 16 leaves, 15 features", 300, 16, 15),
          ("500 trees x 63 leaves, 40 features", 500, 63, 40)]


def data(n_rows, n_features, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_rows, n_features)).astype(np.float32).astype(float)
    x[rng.random(x.shape) < 0.03] = np.nan
    z = np.nan_to_num(x)
    logit = z[:, 0] + z[:, 1] * z[:, 2] + np.sin(3 * z[:, 3]) + z[:, 4:].sum(axis=1) / n_features
    return x, rng.random(n_rows) < 1 / (1 + np.exp(-logit))


def median_ns(one, n_rows, repeats=200, run=8):
    took, at = [], 0
    for _ in range(repeats):
        begun = time.perf_counter_ns()
        for _ in range(run):
            one(at)
            at = (at + 1) % n_rows
        took.append((time.perf_counter_ns() - begun) / run)
    return statistics.median(took)


class Case:
    """One shape: the model in every peer's form, the rows, and the programs to run."""

    def __init__(self, name, n_trees, n_leaves, n_features):
        self.name, self.width = name, n_features
        self.dir = WORK / f"latency-{n_trees}-{n_leaves}-{n_features}"
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir.mkdir(parents=True)
        x, y = data(60_000, n_features, 1)
        params = dict(objective="binary", num_leaves=n_leaves, learning_rate=0.05, verbose=-1, num_threads=2, seed=1)
        self.booster = lgb.train(params, lgb.Dataset(x, y), n_trees)
        self.booster.save_model(self.dir / "model.txt")
        shape = dict(objective="binary:logistic", max_leaves=n_leaves, max_depth=0, grow_policy="lossguide", eta=0.05, seed=1)
        xgb.train(shape, xgb.DMatrix(x, y), n_trees).save_model(self.dir / "model.json")
        self.rows, _ = data(N_ROWS, n_features, 2)
        self.rows.tofile(self.dir / "rows.f64")
        model = treelite.frontend.load_lightgbm_model(self.dir / "model.txt")
        tl2cgen.export_lib(model, toolchain="gcc", libpath=self.dir / "compiled.so", params={"parallel_comp": 8}, nthread=2)
        subprocess.run([NEXTBEST, "import-model", "--from", self.dir / "model.txt", "--out", self.dir / "model.nba"],
                       check=True, stdout=subprocess.DEVNULL)
        onnx = convert_lightgbm(self.booster, initial_types=[("x", FloatTensorType([None, n_features]))], zipmap=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.onnx = onnxruntime.InferenceSession(onnx.SerializeToString(), options, providers=["CPUExecutionProvider"])
        self.agree()

    def agree(self):
        """The same model on both sides, or the comparison means nothing."""
        told = subprocess.run([ROW_BENCH, "--bench", self.dir / "model.nba", self.dir / "rows.f64", str(self.width), "scores"],
                              check=True, capture_output=True, text=True).stdout
        difference = np.abs(np.array(told.split(), dtype=float) - self.booster.predict(self.rows)).max()
        assert difference < 1e-6, f"{self.name}: scores differ by {difference}"

    def round(self):
        library = Path(lgb.__file__).parent / "lib/lib_lightgbm.so", Path(xgb.__file__).parent / "lib/libxgboost.so"
        ours = [ROW_BENCH, "--bench", self.dir / "model.nba", self.dir / "rows.f64", str(self.width)]
        theirs = [WORK / "rows", self.dir / "rows.f64", str(self.width), library[0], self.dir / "model.txt", library[1],
                  self.dir / "model.json", self.dir / "compiled.so"]
        found = {}
        for command in (ours, theirs):
            told = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
            found.update((line.split()[0], float(line.split()[1])) for line in told.stdout.splitlines())
        rows32 = self.rows.astype(np.float32)
        found["onnxruntime_python"] = median_ns(lambda at: self.onnx.run(None, {"x": rows32[at : at + 1]}), N_ROWS)
        found["lightgbm_python"] = median_ns(lambda at: self.booster.predict(self.rows[at : at + 1], num_threads=1), N_ROWS, 50)
        return found


def main():
    WORK.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cc", "-O2", "-o", WORK / "rows", HERE / "rows.c", "-ldl"], check=True)
    print("## One row, one core: the same LightGBM model, in turns\n")
    print(f"Medians of {N_ROUNDS} rounds. XGBoost scores a model of its own of the same shape.")
    for shape in SHAPES:
        case = Case(*shape)
        rounds = [case.round() for _ in range(N_ROUNDS)]
        ns = {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}
        print(f"\n### {case.name}\n\n| | ns a row | times nextbest's |\n|---|---|---|")
        rows = [("**nextbest**, score", "nextbest", "nextbest"), ("LightGBM, C fast path", "lightgbm_fast", "nextbest"),
                ("treelite / tl2cgen, compiled C", "treelite", "nextbest"), ("XGBoost, C in place", "xgboost", "nextbest"),
                ("ONNX Runtime, Python", "onnxruntime_python", "nextbest"), ("LightGBM, Python", "lightgbm_python", "nextbest"),
                ("**nextbest**, score and exact reasons", "nextbest_reasons", "nextbest_reasons"),
                ("LightGBM, contributions in C", "lightgbm_reasons", "nextbest_reasons"),
                ("**nextbest**, batch", "nextbest_batch", "nextbest_batch"), ("LightGBM, batch in C", "lightgbm_batch", "nextbest_batch")]
        for label, name, against in rows:
            print(f"| {label} | {ns[name]:,.0f} | {ns[name] / ns[against]:.1f} |")
        print(f"\nnextbest opens this artifact, checked and ready, in {ns['nextbest_open'] / 1e3:.0f} us.", flush=True)


main()
