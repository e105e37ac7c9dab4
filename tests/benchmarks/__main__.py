"""`python -m tests.benchmarks`: ratios within one run; `python -m tests.benchmarks soak`: whether anything grows."""

import sys

from tests.benchmarks import command, soak

if __name__ == "__main__":
    if sys.argv[1:2] == ["soak"]:
        soak.main(sys.argv[2:], prog_name="python -m tests.benchmarks soak")
    else:
        command.main(prog_name="python -m tests.benchmarks")
