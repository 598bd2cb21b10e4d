"""Runs a command, prints the CPU seconds and the peak resident set it took, as JSON: `python measured.py COMMAND...`.

A process is charged with the memory of the one that started it, until it runs its own program; this one is small.
"""

import json
import resource
import subprocess
import sys

status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({"cpu_s": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss / 1024}))
sys.exit(status)
