"""Seconds of a run that changes one setting of the targets and nothing else.

``python benchmarks/retarget.py --folder demo`` makes the demo where the folder holds none (minutes),
then runs it as a command with one ``[targets] area_share`` after the other. A row each goes to
docs/benchmarks/retarget.csv, with the load of the machine before it: other work makes all of it
slower. ``python benchmarks/reliability.py`` shows the fastest.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
from idw import machine

ROWS = Path(__file__).parents[1] / "docs" / "benchmarks" / "retarget.csv"
COMMAND = "from geomfaf.cli.main import main; main()"
SHARES = (0.02, 0.03, 0.04, 0.06)
"""None is the default: each of them changes the targets."""


def command(*words: str | Path) -> None:
    """Run the command line in a process of its own, compiled as an installed package is."""
    environment = dict(os.environ)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    arguments = [sys.executable, "-c", COMMAND, "--quiet", *map(str, words)]
    subprocess.run(arguments, env=environment, check=True, stdout=subprocess.DEVNULL)


def change_targets(folder: Path, share: float) -> dict[str, object]:
    """Run a project with another share; return what it took."""
    load = os.getloadavg()[0]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    command("run", folder / "geomfaf.toml", "--overwrite", "--set", f"targets.area_share={share}")
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    record = json.loads((folder / "out" / "run.json").read_text(encoding="utf-8"))
    stages = record["seconds"]
    return {
        "area_share": share,
        "seconds": round(wall, 1),
        "targets": stages["targets"],
        "report": stages["report"],
        "processor seconds": round(processor, 1),
        "load before": round(load, 1),
        "machine": machine(),
    }


def main() -> None:
    """Write a row for each share, the fastest of some turns."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument(
        "--folder", type=Path, default=Path("demo"), help="a demo, or where one goes"
    )
    options.add_argument("--turns", type=int, default=3)
    given = options.parse_args()
    if not (given.folder / "geomfaf.toml").exists():
        command("demo", given.folder)
    # Whatever else changed since the demo was made is made again here, unmeasured.
    command("run", given.folder / "geomfaf.toml", "--overwrite")
    rows = []
    for _ in range(given.turns):
        rows += [change_targets(given.folder, share) for share in SHARES]
    table = pd.DataFrame(rows).sort_values("seconds", kind="stable")
    table = table.drop_duplicates("area_share").sort_values("area_share")
    print(table.to_string(index=False))
    table.to_csv(ROWS, index=False)


if __name__ == "__main__":
    main()
