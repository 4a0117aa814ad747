"""Pictures of the report: SVG made from numbers, with a title and a description for those who do not see it.

Colours and lettering come from the page's style sheet. A null leaves a gap, never a point at zero.
"""

from collections.abc import Sequence
from itertools import groupby

from markupsafe import Markup, escape

Values = Sequence[float | None]


def bar(value: float | None, full: float = 100) -> Markup:
    """A bar of a share of ``full``; decoration beside the number itself, so it is hidden from screen readers."""
    width = 0 if value is None else max(0.0, min(value / full, 1.0)) * 100
    return Markup(
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        '<rect class="track" width="100" height="10" rx="2"/><rect class="fill" width="{}" height="10" rx="2"/></svg>'
    ).format(f"{width:.1f}")


def sparkline(values: Values, description: str) -> Markup:
    """A small line of scores from 0 to 100 with its last point marked."""
    known = [v for v in values if v is not None]
    if not known:
        return Markup('<span class="nothing">—</span>')
    low, high = min(known), max(known)
    low, high = (low, high) if high - low >= 10 else ((low + high) / 2 - 5, (low + high) / 2 + 5)
    width, height = 96, 24
    points = _points(values, width, height, low, high, margin=3)
    dots = points[-1:] if points[-1] else []
    return _svg("spark", width, height, "十二个月得分走势", description, [*_lines(points, "line"), *_dots(dots, "dot", 2.5)])


def columns(labels: Sequence[str], series: Sequence[tuple[str, str, Values]], title: str, description: str, top_label: str) -> Markup:
    """Grouped columns by month from zero up.

    Args:
        labels: One a month.
        series: Name, style class and values of each series.
        title: Title for screen readers.
        description: What the picture shows, in words and figures.
        top_label: Lettering of the highest grid line.
    """
    width, height, left, base = 640, 220, 8, 190
    top = max((v for _, _, values in series for v in values if v is not None), default=0) or 1
    step = (width - 2 * left) / max(len(labels), 1)
    each = step * 0.72 / max(len(series), 1)
    parts = [Markup('<line class="axis" x1="0" x2="{}" y1="{}" y2="{}"/>').format(width, base, base)]
    parts.append(Markup('<line class="grid" x1="0" x2="{}" y1="20" y2="20"/><text x="0" y="14">{}</text>').format(width, top_label))
    for i, label in enumerate(labels):
        start = left + i * step
        parts.append(Markup('<text class="tick" x="{}" y="208">{}</text>').format(f"{start + step / 2:.1f}", label))
        for n, (name, style, values) in enumerate(series):
            value = values[i]
            if value is not None:
                tall = value / top * (base - 20)
                parts.append(
                    Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>').format(
                        style, f"{start + step * 0.14 + n * each:.1f}", f"{base - tall:.1f}", f"{each * 0.92:.1f}", f"{tall:.1f}",
                        f"{label} {name} {value:,.0f}",
                    )
                )
    return _svg("chart", width, height, title, description, parts)


def line(labels: Sequence[str], values: Values, texts: Sequence[str], title: str, description: str) -> Markup:
    """A line of shares by month; the scale begins below the smallest value and its ends are lettered."""
    width, height = 640, 220
    known = [v for v in values if v is not None]
    low, high = min(known, default=0.0), max(known, default=1.0)
    span = max(high - low, 0.01)
    low, high = low - 0.5 * span, high + 0.2 * span
    points = _points(values, width, 190, low, high, margin=30)
    parts = [
        Markup('<line class="axis" x1="0" x2="{}" y1="190" y2="190"/>').format(width),
        *_lines(points, "line"),
        *_dots(points, "dot", 4),
    ]
    for i, (point, text) in enumerate(zip(points, texts, strict=True)):
        if point is not None:
            beside = [p[1] for p in (points[i - 1 : i] + points[i + 1 : i + 2]) if p]
            below = bool(beside) and point[1] > max(beside)  # in a valley the line runs above the point
            parts.append(Markup('<text class="value" x="{}" y="{}">{}</text>').format(f"{point[0]:.1f}", f"{point[1] + (20 if below else -10):.1f}", text))
    step = (width - 60) / max(len(labels) - 1, 1)
    for i, label in enumerate(labels):
        parts.append(Markup('<text class="tick" x="{}" y="208">{}</text>').format(f"{30 + i * step:.1f}", label))
    return _svg("chart", width, height, title, description, parts)


def _points(values: Values, width: float, height: float, low: float, high: float, margin: float) -> list[tuple[float, float] | None]:
    step = (width - 2 * margin) / max(len(values) - 1, 1)
    scale = (height - 2 * margin) / ((high - low) or 1)
    return [None if v is None else (margin + i * step, height - margin - (v - low) * scale) for i, v in enumerate(values)]


def _lines(points: Sequence[tuple[float, float] | None], style: str) -> list[Markup]:
    """One line for each stretch without a gap."""
    stretches = [[p for p in group if p] for known, group in groupby(points, key=lambda p: p is not None) if known]
    return [
        Markup('<polyline class="{}" points="{}"/>').format(style, " ".join(f"{x:.1f},{y:.1f}" for x, y in stretch))
        for stretch in stretches
        if len(stretch) > 1
    ]


def _dots(points: Sequence[tuple[float, float] | None], style: str, radius: float) -> list[Markup]:
    return [
        Markup('<circle class="{}" cx="{}" cy="{}" r="{}"/>').format(style, f"{p[0]:.1f}", f"{p[1]:.1f}", radius) for p in points if p
    ]


def _svg(style: str, width: float, height: float, title: str, description: str, parts: Sequence[Markup]) -> Markup:
    return Markup('<svg class="{}" viewBox="0 0 {} {}" role="img"><title>{}</title><desc>{}</desc>{}</svg>').format(
        style, width, height, escape(title), escape(description), Markup("").join(parts)
    )
