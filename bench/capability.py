"""Scoring and rank intervals, beside the same in pandas, column by column and draw by draw.

    python -m bench.capability [--units 2000] [--indicators 100] [--months 36] [--draws 10000] [--repeat 3]

One indicator in ten has a long tail and is winsorised, one value in fifty is missing and is filled by the mean. Both ways
must give the same scores and ranks. Nothing here asserts a time. How to read the figures: docs/bench.md.
"""

import argparse
import resource
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from models.capability.methods.arrays import places
from models.capability.service import Choices, Evaluation, Figures, System, evaluate, intervals

T = TypeVar("T")
PLAIN_DRAWS = 500
"""Draws of the plain way, scaled up to those of ours."""


def system(indicators: int, per_node: int = 10) -> System:
    """A tree of two levels with equal weights, every third indicator better when lower."""
    leaves: list[dict[str, Any]] = [
        {"code": f"I{n}", "name": f"指标{n}", "direction": "higher" if n % 3 else "lower"} for n in range(indicators)
    ]
    children = [
        {"code": f"N{at}", "name": f"组{at}", "weighting": "equal", "children": leaves[at : at + per_node]} for at in range(0, indicators, per_node)
    ]
    content = {
        "system_code": "bench", "name": "评分基准", "year": 2026, "label": "自评", "weight_source": "assumed", "weighting": "equal", "children": children,
        "defaults": {
            "unit": "%", "external": "表", "missing": {"method": "mean"}, "outliers": {"method": "winsorise"}, "normalisation": {"method": "minmax"},
        },
    }  # fmt: skip
    return System.model_validate(content)


def figures(units: int, indicators: int, months: int, seed: int = 1) -> Figures:
    """Values by chance."""
    random = np.random.default_rng(seed)
    values = random.beta(8, 2, (months, units, indicators))
    for number in range(0, indicators, 10):
        values[..., number] = random.lognormal(0, 0.5, (months, units))
        values[:, : min(3, units // 4), number] *= 40
    values[random.random(values.shape) < 0.02] = np.nan
    names = tuple(f"U{n:05d}" for n in range(units))
    return Figures(names, names, tuple(map(str, range(months))), values, None, np.zeros(indicators, dtype=bool), np.ones((months, units), dtype=bool))


def plain_scores(made: System, given: Figures) -> NDArray[np.float64]:
    """The same scores with pandas, a month and a column at a time, as one would write it down."""
    months = []
    for values in given.values:
        frame = pd.DataFrame(values)
        for number, leaf in enumerate(made.indicators):
            column: Any = frame[number]
            column = column.fillna(column.mean())
            original, low, high = column.sort_values(ignore_index=True), 0, 0
            while abs(column.skew()) > 2 and column.kurt() > 3.5 and low + high < leaf.outliers.points:
                low, high = (low, high + 1) if column.skew() > 0 else (low + 1, high)
                column = column.clip(original[low], original[len(original) - 1 - high])
            points = (column - column.min()) / (column.max() - column.min()) * 100
            frame[number] = points if leaf.direction == "higher" else 100 - points
        size = len(made.indicators) // len(made.children)
        nodes = [frame.iloc[:, at : at + size].mean(axis=1) for at in range(0, len(made.indicators), size)]
        months.append(pd.concat(nodes, axis=1).mean(axis=1).to_numpy())
    return np.stack(months)


def plain_intervals(found: Evaluation, draws: int) -> NDArray[np.float64]:
    """Ranks over draws of weights, a draw at a time, with pandas; the 5th, 50th and 95th in a hundred."""
    random = np.random.default_rng(1)
    points = pd.DataFrame(found.normalised[-1])
    size = points.shape[1] // len(found.system.children)
    ranks = []
    for _ in range(draws):
        nodes = []
        for at in range(0, points.shape[1], size):
            weights = random.uniform(0.75, 1.25, size)
            nodes.append(points.iloc[:, at : at + size].mul(weights / weights.sum(), axis=1).sum(axis=1))
        weights = random.uniform(0.75, 1.25, len(nodes))
        score = pd.concat(nodes, axis=1).mul(weights / weights.sum(), axis=1).sum(axis=1)
        ranks.append(score.rank(ascending=False, method="min"))
    return np.asarray(pd.DataFrame(ranks).quantile([0.05, 0.5, 0.95]))


def timed(what: Callable[[], T], repeat: int) -> tuple[float, float, T]:
    """The best of several seconds, the same of the processor's, and the result."""
    seconds, processor = [], []
    for _ in range(repeat):
        start, begun = time.perf_counter(), time.process_time()
        result = what()
        seconds.append(time.perf_counter() - start)
        processor.append(time.process_time() - begun)
    return min(seconds), min(processor), result


def main(arguments: Sequence[str]) -> int:
    """Print the table; the exit code, 1 where the two ways differ."""
    parser = argparse.ArgumentParser(prog="python -m bench.capability")
    for name, default in (("units", 2000), ("indicators", 100), ("months", 36), ("draws", 10_000), ("repeat", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args(arguments)
    out = Table(title="Seconds, and how many times as long the plain way takes", title_justify="left")
    for title in ("what", "ours", "processor", "wanted", "plain", "ratio", "largest difference"):
        out.add_column(title, justify="left" if title == "what" else "right")
    made, given = system(options.indicators), figures(options.units, options.indicators, options.months)
    ours, processor, found = timed(lambda: evaluate(made, given), options.repeat)
    plain, _, expected = timed(lambda: plain_scores(made, given), 1)
    apart = float(np.abs(found.score - expected).max())
    is_same = apart < 1e-9 and bool((found.rank == places(expected.round(6))).all())
    size = f"{options.units:,} units × {options.indicators} indicators × {options.months} months"
    out.add_row(f"score {size}", f"{ours:.2f}", f"{processor:.2f}", "1", f"{plain:.1f}", f"{plain / ours:.0f}", f"{apart:.1e}")
    small = evaluate(system(50), figures(50, 50, 1))
    for name, choices in (("weights", Choices(("own",), ("own",))), ("weights, 4 normalisations, 4 aggregations", Choices())):
        ours, processor, drawn = timed(partial(intervals, small, options.draws, choices=choices), options.repeat)
        row = [f"{options.draws:,} draws of {name}, 50 units × 50 indicators", f"{ours:.2f}", f"{processor:.2f}", "2"]
        if choices.normalisations == ("own",):
            plain, _, theirs = timed(lambda: plain_intervals(small, PLAIN_DRAWS), 1)
            plain *= options.draws / PLAIN_DRAWS
            # draws differ, so that intervals do by a place or two
            apart = float(np.abs(np.stack([drawn.low, drawn.median, drawn.high]) - theirs).max())
            row += [f"{plain:.0f}", f"{plain / ours:.0f}", f"{apart:.0f} places"]
            is_same = is_same and apart <= 4
        out.add_row(*row)
    console = Console(width=150)
    console.print(out)
    console.print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB" + ("" if is_same else "; the two ways differ"))
    return 0 if is_same else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
