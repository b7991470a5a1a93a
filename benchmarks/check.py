"""Measure reading and checking a large, dirty table, and write down what was measured.

    python benchmarks/check.py [samples]      a million samples of forty elements by default

The table is CSV: numbers of three digits as text, a tenth of the cells dirty (limits, words for
missing, zeros, negatives, codes, units, decimal commas), every element in another mixture. Reading,
parsing and checking run in a process of their own, whose peak of memory is taken. The result goes
to ``docs/benchmarks/check.csv`` and into ``docs/ingest.md``.
"""

from __future__ import annotations

import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

ELEMENTS = (
    "Ag Al As Au Ba Be Bi Ca Cd Ce Co Cr Cs Cu Fe Ga Ge Hf Hg In K La Li Mg Mn Mo Na Nb Ni P Pb Rb"
    " Sb Sc Se Sn Sr Th Ti Zn"
).split()
DIRT = (
    "<0.05 |< 5|<0,5|n.a.|-|bdl|>10000|-9999|-0.02|-0.05|0||tr|5 ppm|not analysed|B.D.L.|12,5|1"
    " 234|N/A|x3"
).split("|")
DIRTY = 0.1
OUT = Path(__file__).parent.parent / "docs" / "benchmarks"


def write_table(path: Path, samples: int, seed: int = 0) -> None:
    """Write the samples: x and y in metres on a lattice, then the elements."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(samples)))
    table = {"x": np.arange(samples) % side * 100, "y": np.arange(samples) // side * 100}
    for number, element in enumerate(ELEMENTS):
        pool = np.array([f"{value:.3g}" for value in rng.lognormal(3, 1.2, 20_000)], dtype=object)
        cells = rng.choice(pool, samples)
        dirty = rng.random(samples) < DIRTY
        kinds = np.roll(np.array(DIRT, dtype=object), number)[:12]
        cells[dirty] = rng.choice(kinds, dirty.sum())
        table[f"{element}_ppm"] = cells
    pd.DataFrame(table).to_csv(path, index=False)
    picks = rng.integers(0, samples, 40)
    pd.DataFrame({"x": table["x"][picks], "y": table["y"][picks]}).to_csv(
        path.with_name("deposits.csv"), index=False
    )


def measure(folder: Path) -> dict[str, object]:
    """Read and check the table; return seconds, counts and the peak of memory of this process."""
    from geomfaf.survey.cleaning.check import check_survey
    from geomfaf.survey.read import read_survey
    from geomfaf.survey.survey import Source

    started = time.perf_counter()
    processor = time.process_time()
    sources = {
        role: Source(folder / f"{role}.csv", crs="EPSG:32650") for role in ("samples", "deposits")
    }
    survey = read_survey(sources)
    read = time.perf_counter()
    checked, findings = check_survey(survey)
    ended = time.perf_counter()
    values = survey.samples[list(survey.elements)]
    return {
        "samples": len(survey.samples),
        "elements": len(survey.elements),
        "file (MB)": round((folder / "samples.csv").stat().st_size / 1e6),
        "distinct texts a column": int(values.nunique().median()),
        "findings": len(findings),
        "elements kept": len(checked.elements),
        "read (s)": round(read - started, 1),
        "check (s)": round(ended - read, 1),
        "both (s)": round(ended - started, 1),
        "processor time of both (s)": round(time.process_time() - processor, 1),
        "peak memory (GB)": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
    }


def main() -> None:
    """Write the table, measure in another process, write the result down."""
    samples = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        write_table(Path(folder) / "samples.csv", samples)
        command = [sys.executable, __file__, "--measure", folder]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
    row = json.loads(result.stdout)
    table = pd.DataFrame([row])
    print(table.T.to_string(header=False))
    OUT.mkdir(parents=True, exist_ok=True)
    table.to_csv(OUT / "check.csv", index=False)
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, pandas {pd.__version__}"
    lines = ["| | |", "|---|---|", *(f"| {name} | {value:,} |" for name, value in row.items())]
    text = "\n".join([*lines, "", f"`python benchmarks/check.py {samples}`, {machine}."])
    (OUT / "check.md").write_text(text + "\n", encoding="utf-8")
    page = OUT.parent / "ingest.md"
    marks = re.compile(r"(<!-- check -->\n).*?(<!-- /check -->)", re.DOTALL)
    page.write_text(
        marks.sub(lambda m: f"{m[1]}{text}\n{m[2]}", page.read_text(encoding="utf-8")),
        encoding="utf-8",
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(Path(sys.argv[2]))))
    else:
        main()
