"""The picture of a process: its steps from top to bottom, the ways between them; what it shows stands beside it in words."""

from collections.abc import Mapping

from markupsafe import Markup, escape

from models.core.processes.definition import Process

_WIDE, _HIGH, _GAP, _ROW, _MARGIN = 148, 48, 24, 92, 44


def picture(process: Process, roles: Mapping[str, str]) -> Markup:
    """An SVG whose colours are the style sheet's.

    Args:
        process: What is drawn.
        roles: Role → title.
    """
    ways = sorted({(action.at, to) for action in process.actions if action.at for to in action.to if to != action.at})
    rows = _rows(process, ways)
    widest = max(map(len, rows))
    across = widest * (_WIDE + _GAP) - _GAP
    where = {
        step: (_MARGIN + (across - len(row) * (_WIDE + _GAP) + _GAP) // 2 + place * (_WIDE + _GAP), number * _ROW + 8) for number, row in enumerate(rows) for place, step in enumerate(row)
    }
    level = {step: number for number, row in enumerate(rows) for step in row}
    parts = [_way(where[start], where[end], level[end] - level[start], _MARGIN + across) for start, end in ways]
    for step in process.steps:
        x, y = where[step.step]
        is_end = not any(start == step.step for start, _ in ways)
        style = "flow-start" if step.step == process.start else "flow-end" if is_end else "flow-step"
        parts.append(
            f'<rect class="{style}" x="{x}" y="{y}" width="{_WIDE}" height="{_HIGH}" rx="6"/><text x="{x + _WIDE // 2}" y="{y + 20}">{escape(step.title)}</text>'
            f'<text class="flow-role" x="{x + _WIDE // 2}" y="{y + 38}">{escape(roles.get(step.role, step.role))}</text>'
        )
    width, height = across + 2 * _MARGIN, len(rows) * _ROW - _ROW + _HIGH + 16
    arrow = '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path class="flow-head" d="M0 0L8 4L0 8z"/></marker></defs>'
    name = escape(f"{process.title}的流程图：{len(process.steps)} 个环节，文字说明见下")
    return Markup(  # noqa: S704 - what people wrote is escaped
        f'<div class="scroll" tabindex="0" role="region" aria-label="流程图"><svg class="flow" role="img" aria-label="{name}" viewBox="0 0 {width} {height}" width="{width}" height="{height}">{arrow}{"".join(parts)}</svg></div>'
    )


def _rows(process: Process, ways: list[tuple[str, str]]) -> list[list[str]]:
    """Steps, each below all that lead to it, in the order of the definition; ways to an earlier one lead back and do not count."""
    order = [step.step for step in process.steps]
    level = dict.fromkeys(order, 0)
    for start in order:
        for end in (other for one, other in ways if one == start and order.index(other) > order.index(start)):
            level[end] = max(level[end], level[start] + 1)
    return [[step for step in order if level[step] == number] for number in sorted(set(level.values()))]


def _way(start: tuple[int, int], end: tuple[int, int], down: int, edge: int) -> str:
    """Straight to the row below, around the side of the others where it is far, back on the left."""
    (x1, y1), (x2, y2) = start, end
    if down > 0:
        a, b = (x1 + _WIDE // 2, y1 + _HIGH), (x2 + _WIDE // 2, y2)
        if down == 1 or x1 != x2:
            bend = (b[1] - a[1]) // 2
            return f'<path class="flow-way" d="M{a[0]} {a[1]}C{a[0]} {a[1] + bend} {b[0]} {b[1] - bend} {b[0]} {b[1]}"/>'
        side = min(edge + _MARGIN - 8, x1 + _WIDE + 12 + 6 * down)
        return f'<path class="flow-way" d="M{x1 + _WIDE} {y1 + _HIGH // 2}C{side + 20} {y1 + _HIGH} {side + 20} {y2} {x2 + _WIDE} {y2 + _HIGH // 2}"/>'
    a, b = (x1, y1 + _HIGH // 2), (x2, y2 + _HIGH // 2)
    side = max(4, min(a[0], b[0]) - 18 - 6 * abs(down))
    return f'<path class="flow-way flow-back" d="M{a[0]} {a[1]}C{side} {a[1]} {side} {b[1]} {b[0]} {b[1]}"/>'
