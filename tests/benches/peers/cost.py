"""CPU and memory of LightGBM's five-fold cross-validation, alone in its process: `python cost.py table.csv`. Prints JSON.

It begins where nextbest's fit begins, at the file, read by pandas into 64-bit numbers. The peak is that of the process (the
kernel's VmHWM, which knows nothing of who started it); the CPU time is that of the cross-validation alone, reading costs
LightGBM nothing.
"""

import json
import resource
import sys
from pathlib import Path

import lightgbm as lgb
import pandas as pd


def cpu_s():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_mb():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


features = pd.read_csv(sys.argv[1]).drop(columns="row_key")
outcome, fold = features.pop("outcome"), features.pop("fold")
begun = cpu_s()
for k in fold.unique():
    model = lgb.LGBMClassifier(n_estimators=300, learning_rate=0.05, num_leaves=31, n_jobs=2, verbose=-1, random_state=1)
    model.fit(features[fold != k], outcome[fold != k]).predict_proba(features[fold == k])
print(json.dumps({"cpu_s": cpu_s() - begun, "peak_mb": peak_mb()}))
