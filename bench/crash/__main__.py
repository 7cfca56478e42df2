"""Kills the processes of a store under load, and compares what it holds with what it answered.

    make crash    or    .venv/bin/python -m bench.crash --segments 50000 --files 2000 --seed 1

* Clients register segments, singly and in lists, waiting for the outcome or following a job, and
  ask again until they have an answer; some segments overlap on purpose, some requests are repeated.
  Files are dropped into the bucket meanwhile, some of which cannot become segments.
* Processes are ended by SIGKILL, one or several at a time, whenever the load has come to a moment
  that the seed chose. The supervisor of the store starts them again.
* When nothing waits any more, the tables are read: what was acknowledged is there, once, and
  overlaps nothing; what was refused is not there, and something that is took its time; every file
  is a segment or a listed problem; events tell of every segment once. Anything else is printed, and
  the exit status is 1.

The store is one of its own, on loopback and free ports, gone afterwards. The object store is not
killed: what it has acknowledged is not ours to keep.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from bench.crash.run import crash


def main() -> None:
    """Kill, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--segments", type=int, default=50_000)
    parser.add_argument("--files", type=int, default=2_000)
    parser.add_argument("--kills", type=int, help="by default one for 400 segments")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--time-limit", type=float, default=5_400, metavar="SECONDS")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the report, too")
    asked = parser.parse_args()
    kills = asked.segments // 400 if asked.kills is None else asked.kills
    with tempfile.TemporaryDirectory() as directory:
        report = crash(
            Path(directory), asked.segments, asked.files, kills, asked.seed, asked.time_limit
        )
    report.print(Console())
    if asked.json is not None:
        asked.json.write_text(json.dumps(report.json(), indent=2) + "\n")
    sys.exit(not report.passed)


if __name__ == "__main__":
    main()
