"""Pictures in notebooks with Chinese type, for the analyst's matplotlib (extra ``notebooks``).

What does not belong here: the report's own charts (:mod:`models.reporting.charts`), which need no matplotlib.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5B5B5B")
"""Colours that people with colour blindness tell apart (Okabe and Ito, 2008, yellow left out)."""
_FAMILIES = ("Noto Sans CJK SC", "Source Han Sans SC", "PingFang SC", "Microsoft YaHei", "sans-serif")


def use_chinese_type() -> None:
    """Set matplotlib's defaults: Chinese type, sober axes, colours for everybody; SVG whose text stays text.

    The text of an SVG is set by the reader's browser in the first of our families that it has; the font that comes with
    the extra (Noto Sans CJK, OFL) is only measured with, and is drawn with in other formats where the system has none.
    """
    import matplotlib
    from cycler import cycler
    from matplotlib import font_manager

    known = {entry.name for entry in font_manager.fontManager.ttflist}
    if _FAMILIES[0] not in known:
        import manimgx_fonts_cjk

        font_manager.fontManager.addfont(next(Path(manimgx_fonts_cjk.__file__).parent.glob("*.ttc")))
    families = [*_FAMILIES[:1], *(family for family in _FAMILIES[1:-1] if family in known), "DejaVu Sans"]
    matplotlib.rcParams.update(
        {
            "font.family": families,
            "svg.fonttype": "none",
            "axes.prop_cycle": cycler(color=PALETTE),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.titlelocation": "left",
            "grid.color": "#E5E5E5",
            "figure.dpi": 110,
            "figure.figsize": (8, 3.6),
            "figure.constrained_layout.use": True,
            "legend.frameon": False,
        }
    )


def bars(axes: "Axes", labels: pd.Series, values: pd.Series, share: bool = False, digits: int = 0) -> None:
    """Horizontal bars with their figures, the first on top.

    Args:
        axes: Where to draw.
        labels: One word a bar.
        values: Lengths; a missing one is written as "—".
        share: Whether the values are shares, written as per cent.
        digits: Decimals of values that are no shares.
    """
    bar = axes.barh(list(labels)[::-1], list(values.fillna(0))[::-1])
    texts = ["—" if pd.isna(value) else f"{value:.1%}" if share else f"{value:,.{digits}f}" for value in list(values)[::-1]]
    axes.bar_label(bar, texts, padding=3, fontsize=8)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.12)


def flow(axes: "Axes", edges: pd.DataFrame) -> None:
    """A directly-follows graph: activities from the first to the last step, arcs as wide as they are frequent, going back in orange.

    Args:
        axes: Where to draw.
        edges: As :func:`models.store.analysis.directly_follows` gives it.
    """
    positions = {**dict(zip(edges["next_activity"], edges["next_position"], strict=True)), **dict(zip(edges["activity"], edges["position"], strict=True))}
    place = {name: number for number, name in enumerate(sorted(positions, key=lambda name: (positions[name], name)))}
    times = [float(value) for value in edges["times"]]
    for activity, following, weight in zip(edges["activity"], edges["next_activity"], (value / max(times) for value in times), strict=True):
        start, end = place[activity], place[following]
        forward = end > start
        # A loop on itself is a small arc beside its own point.
        axes.annotate(
            "", xy=(0.02 if start == end else 0, -end + (0.18 if start == end else 0)), xytext=(0, -start),
            arrowprops={
                "arrowstyle": "-|>", "color": PALETTE[0] if forward else PALETTE[1], "alpha": 0.25 + 0.7 * weight,
                "lw": 0.6 + 4 * weight, "connectionstyle": "arc3,rad=0.45", "shrinkA": 5, "shrinkB": 5,
            },
        )  # fmt: skip
    for name, number in place.items():
        axes.plot(0, -number, "o", color=PALETTE[6], ms=6)
        axes.text(0.06, -number, name, va="center", fontsize=9, bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1})
    axes.set_xlim(-1, 1)
    axes.set_ylim(-len(place) + 0.4, 0.6)
    axes.axis("off")
