"""Options of the staff page's charts and grid, as plain data. Each chart stands beside a table of the same figures."""

from typing import Any

from serving.web.staff.view import View
from serving.web.templating import month, reason

CHOSEN = "department_chosen"
"""Event of the grid: a row was selected, by mouse or with the space bar; its argument is the department's code."""
_INK, _SOFT, _LINE, _BRAND, _MARKED = "#1a2330", "#4d5a69", "#d3dae3", "#0b57a4", "#b3541e"
_FONT = {"fontFamily": '"PingFang SC", "Microsoft YaHei", "Noto Sans SC", "Noto Sans CJK SC", sans-serif', "color": _INK}
_BAR = 26
"""Height of a bar with its gap, in pixels."""


def grid(view: View) -> dict[str, Any]:
    """The score table; its columns sort and filter in the browser."""
    return {
        "columnDefs": [
            {"field": "rank", "headerName": "名次", "width": 88, "sort": "asc", "type": "numericColumn", ":comparator": _EMPTY_LAST},
            {"field": "department", "headerName": "部门", "flex": 6, "minWidth": 136, "wrapText": True, "autoHeight": True, "filter": "agTextColumnFilter"},
            {"field": "score", "headerName": "得分", "width": 98, "type": "numericColumn", ":comparator": _EMPTY_LAST, "filter": "agNumberColumnFilter", ":valueFormatter": _FIXED},
            {"field": "change", "headerName": "较上月", "width": 95, "type": "numericColumn", ":comparator": _EMPTY_LAST, ":valueFormatter": _SIGNED},
            {"field": "scored", "headerName": "计分指标", "width": 105, "type": "numericColumn"},
            {"field": "note", "headerName": "说明", "flex": 1, "minWidth": 90, "tooltipField": "note"},
        ],
        "defaultColDef": {"sortable": True, "resizable": True, "suppressHeaderMenuButton": False},
        "rowData": grid_rows(view),
        ":getRowId": "p => p.data.code",
        "rowSelection": {"mode": "singleRow", "checkboxes": False, "enableClickSelection": True},
        ":onRowSelected": f"p => {{ if (p.node.isSelected()) emitEvent('{CHOSEN}', p.data.code); }}",
        "localeText": _LOCALE,
        "overlayNoRowsTemplate": "本月没有得分",
    }


def grid_rows(view: View) -> list[dict[str, Any]]:
    """Rows of the score table; departments without a score come last."""
    return [
        {
            "code": row["department_code"], "rank": row["rank"], "department": row["department_name"], "score": _rounded(row["score"]),
            "change": _rounded(row["change"]), "scored": f"{row['indicators_scored']} / {row['indicators_total']}",
            "note": reason(row.get("null_reason")),
        }
        for row in view.scores
    ]


def bars(view: View) -> dict[str, Any]:
    """The departments of the month, best at the top; the chosen one in another colour."""
    rows = [row for row in view.scores if row["score"] is not None]
    return {
        "aria": {"enabled": True, "label": {"description": f"{month(view.choice.month)}部门得分排名，数字见旁边的表格。"}},
        "animation": False,
        "textStyle": _FONT,
        "grid": {"left": 8, "right": 44, "top": 4, "bottom": 4, "containLabel": True},
        "xAxis": {"type": "value", "min": 0, "max": 100, "show": False},
        "yAxis": {
            "type": "category", "inverse": True, "data": [row["department_name"] for row in rows], "axisTick": {"show": False},
            "axisLine": {"show": False}, "axisLabel": {"color": _INK, "width": 150, "overflow": "truncate", "interval": 0},
        },
        "tooltip": {"trigger": "item", "formatter": "{b}：{c}"},
        "series": [
            {
                "type": "bar", "barWidth": 14, "label": {"show": True, "position": "right", "color": _INK},
                "data": [
                    {
                        "value": _rounded(row["score"]), "code": row["department_code"],
                        "itemStyle": {"color": _MARKED if row["department_code"] == view.choice.department else _BRAND, "borderRadius": [0, 3, 3, 0]},
                    }
                    for row in rows
                ],
            }
        ],
    }


def bars_height(view: View) -> int:
    """Height of the bars, in pixels."""
    return max(3, sum(row["score"] is not None for row in view.scores)) * _BAR + 16


def trend(view: View) -> dict[str, Any]:
    """Twelve months of the chosen department beside the average of all."""
    return {
        "aria": {"enabled": True, "label": {"description": f"{view.department_name}近十二个月得分走势，与全部部门平均对比。"}},
        "animation": False,
        "textStyle": _FONT,
        "legend": {"top": 0, "left": 0, "textStyle": {"color": _INK}},
        "grid": {"left": 8, "right": 16, "top": 40, "bottom": 8, "containLabel": True},
        "tooltip": {"trigger": "axis"},
        "xAxis": {
            "type": "category", "data": [f"{row['month']:%Y-%m}" for row in view.trend], "axisLine": {"lineStyle": {"color": _LINE}},
            "axisLabel": {"color": _SOFT},
        },
        "yAxis": {"type": "value", "scale": True, "axisLabel": {"color": _SOFT}, "splitLine": {"lineStyle": {"color": _LINE}}},
        "series": [
            {
                "name": view.department_name or "部门", "type": "line", "data": [_rounded(row["score"]) for row in view.trend], "symbolSize": 8,
                "symbol": "circle", "lineStyle": {"width": 3, "color": _MARKED}, "itemStyle": {"color": _MARKED},
            },
            {
                "name": "全部部门平均", "type": "line", "data": [_rounded(row["average"]) for row in view.trend], "symbol": "diamond", "symbolSize": 7,
                "lineStyle": {"width": 2, "type": "dashed", "color": _BRAND}, "itemStyle": {"color": _BRAND},
            },
        ],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


_EMPTY_LAST = "(a, b, x, y, desc) => a == null || b == null ? ((a == null) - (b == null)) * (desc ? -1 : 1) : a - b"
_FIXED = "p => p.value == null ? '—' : p.value.toFixed(2)"
_SIGNED = "p => p.value == null ? '—' : (p.value > 0 ? '+' : '') + p.value.toFixed(2)"
_LOCALE = {
    "contains": "包含", "notContains": "不包含", "equals": "等于", "notEqual": "不等于", "startsWith": "开头是", "endsWith": "结尾是", "blank": "为空",
    "notBlank": "不为空", "lessThan": "小于", "lessThanOrEqual": "不大于", "greaterThan": "大于", "greaterThanOrEqual": "不小于", "inRange": "介于",
    "inRangeStart": "从", "inRangeEnd": "到", "filterOoo": "筛选…", "andCondition": "并且", "orCondition": "或者", "noRowsToShow": "没有数据",
    "ariaFilterInput": "筛选值", "ariaFilterMenuOpen": "打开筛选", "ariaColumn": "列", "ariaRowSelect": "按空格键选择此行",
    "ariaRowToggleSelection": "按空格键选择此行", "ariaSortableColumn": "按回车键排序", "ariaMenuColumn": "按 Alt 加向下键打开列菜单",
    "ariaFilterColumn": "按 Ctrl 加回车键打开筛选", "ariaFilteringOperator": "筛选方式", "ariaFilterValue": "筛选值",
}
