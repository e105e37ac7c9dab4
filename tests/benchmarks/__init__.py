"""`python -m tests.benchmarks`: the budgets of the design, section 11, measured as ratios within one run.

To add a benchmark: a file beside `match.py` with a function that takes a `Stage` and returns a `Result`, and a
line in `registry.py`. Absolute figures belong to a machine and a day; only ratios are compared, and no test is timed.
"""

import warnings

# The wheel's PostgreSQL says so at its import, about a folder that nothing here needs.
warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR is not set")
