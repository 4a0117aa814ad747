"""Error detection over tables spoilt by chance and over clean ones, beside the naive ways.

    python -m bench.detection [--seed 1] [--scale 100000] [--table DIRTY.csv CLEAN.csv]

Nothing here asserts a time. How to read the figures: docs/detection.md.
"""

import argparse
import csv
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import wrong_tables
from quality.detection.service import detect, read_table, scored

SPOILT = ("spoilt_matters", "spoilt_hospitals", "claimed")
CLEAN = ("matters", "hospitals", "orders", "measurements")


def measured(dirty: Path, clean: Path) -> list[str]:
    """Cells, errors, P, R and F1 of ours, F1 of the naive ways, false alarms and seconds, for one table."""
    start = time.perf_counter()
    table = read_table(dirty)
    findings = detect(table)
    seconds = time.perf_counter() - start
    ours, *naive = scored(findings, clean)
    false = (ours.found - ours.right) / findings.wrong.size
    return [
        f"{findings.wrong.size:,}", f"{ours.errors:,}", f"{ours.precision:.3f}", f"{ours.recall:.3f}", f"{ours.f1:.3f}",
        *(f"{score.f1:.3f}" for score in naive), f"{false:.3%}", f"{seconds:.1f}",
    ]  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Print the table; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.detection")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", type=int, help="rows of one more table of matters")
    parser.add_argument("--table", type=Path, nargs=2, action="append", default=[], metavar=("DIRTY", "CLEAN"))
    options = parser.parse_args(arguments)
    out = Table(title="P, R, F1: ours; then F1 of three naive ways", title_justify="left")
    titles = ("table", "cells", "errors", "P", "R", "F1", "dependency majority", "key majority, empty", "rare shapes", "false alarms", "seconds")
    for title in titles:
        out.add_column(title, justify="left" if title == "table" else "right")
    with tempfile.TemporaryDirectory() as folder:
        for dirty, clean in options.table:
            out.add_row(dirty.parent.name, *measured(dirty, clean))
        made = {name: getattr(wrong_tables, name)(options.seed) for name in (*SPOILT, *CLEAN)}
        if options.scale:
            made[f"spoilt_matters {options.scale:,}"] = wrong_tables.spoilt_matters(options.seed, options.scale)
        for name, table in made.items():
            out.add_row(name, *measured(*write(table, Path(folder))))
    Console(width=160).print(out)
    return 0


def write(table: wrong_tables.Wrong, folder: Path) -> tuple[Path, Path]:
    """Writes a table as it is and as it should be."""
    for path, rows in ((folder / "dirty.csv", table.dirty), (folder / "clean.csv", table.clean)):
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(table.names)
            writer.writerows(rows)
    return folder / "dirty.csv", folder / "clean.csv"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
