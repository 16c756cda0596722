#!/usr/bin/python3
"""fault_story - the running universe under fire: every process killed at every moment that matters, disks full, databases
locked, clocks that jump. Prints the fault matrix and writes it to build/fault-matrix.md; docs/faults.md explains it.

HOLDFAST_BIN: the directory of the programs. HOLDFAST_PORT_BASE: the ports +443 and +883 are used. Arguments: --only NAME...
for these cells alone, --long for those that take minutes too, --list for their names. Prints "ok NAME" for each cell that held;
last line "N passed, N failed".
"""
import sys

import fault_kills  # noqa: F401  pylint: disable=unused-import
import fault_others  # noqa: F401  pylint: disable=unused-import
from fault_stage import CELLS, Stage, choose, play, report

STAGES = {"caged": {}, "free": {"sandbox": "off"}, "small": {"disk": "6m"}, "broken": {}}


def main():
    if "--list" in sys.argv:
        print("\n".join(c.name for c in CELLS))
        return 0
    chosen = choose(sys.argv[1:])
    for name, settings in STAGES.items():
        rows = [c for c in chosen if c.stage == name]
        if rows:
            with Stage(**settings) as stage:
                play(stage, rows)
    return report(chosen)


if __name__ == "__main__":
    sys.exit(main())
