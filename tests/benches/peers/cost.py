"""CPU and memory of LightGBM's five-fold cross-validation on a table: `python cost.py table.csv`."""

import resource
import sys

import pandas as pd
from learners import lightgbm

usage = lambda: resource.getrusage(resource.RUSAGE_SELF)
table = pd.read_csv(sys.argv[1])
features, outcome, fold = table.drop(columns=["row_key", "outcome", "fold"]).astype("float32"), table["outcome"], table["fold"]
del table
before = usage()
for k in sorted(fold.unique()):
    lightgbm(features[fold != k], outcome[fold != k])(features[fold == k])
after = usage()
cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
print(f"{cpu_s:.0f} CPU s, peak {after.ru_maxrss / 1024:.0f} MB, of it {features.memory_usage().sum() / 2**20:.0f} MB features")
