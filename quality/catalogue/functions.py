"""What the SQL of a rule may compute: values that stay in proportion to what it reads, and that are the same whenever it is asked.

The time and memory limits of a run hold between the steps of the database, not inside one call: ``repeat(x, 2000000000)`` cannot be
stopped. Functions are therefore listed that are allowed, not those that are not; what joins values may not be applied to its own results, which
doubles them each time. A rule that asks the clock or chance would contradict its own recount.
What does not belong here: which tables a rule reads (:mod:`quality.catalogue.loading`).
"""

from typing import Any

Node = dict[str, Any]

_GROWING = frozenset("|| concat concat_ws list_value row struct_pack string_agg group_concat listagg list array_agg".split())
"""Join values: in proportion to what they are given, unless that is their own result under a name."""
_OF_ROW = frozenset(
    """
    + - * / // % ** ^ & | abs ceil ceiling floor round trunc sign sqrt exp ln log log10 log2 pow power mod greatest least nullif ifnull if hash isnan isfinite isinf
    ~~ !~~ ~~* !~~* ~~~ like_escape not_like_escape ilike_escape not_ilike_escape regexp_matches regexp_full_match regexp_extract regexp_replace
    length len strlen char_length character_length bit_length lower lcase upper ucase trim ltrim rtrim left right substring substr position strpos instr starts_with ends_with
    prefix suffix contains reverse split_part string_split str_split string_to_array split ascii unicode ord chr nfc_normalize strip_accents translate replace md5 sha256
    date_part datepart date_trunc datetrunc date_diff datediff date_sub datesub date_add year month day dayofmonth dayofweek dayofyear weekday isodow isoyear
    week weekofyear quarter hour minute second millisecond epoch epoch_ms last_day strftime strptime try_strptime make_date make_timestamp timezone
    to_years to_months to_weeks to_days to_hours to_minutes to_seconds to_milliseconds to_timestamp
    json_extract json_extract_string json_extract_path json_extract_path_text -> ->> json_type json_array_length json_keys json_valid json_exists json_contains
    list_contains list_has array_contains array_has list_has_any list_has_all list_distinct list_unique list_position list_transform list_apply list_filter array_length
    list_extract array_extract struct_extract
    """.split()
)
_OF_ROWS = frozenset(
    """
    count count_star count_if countif min max sum avg mean any_value first last arg_min arg_max min_by max_by bool_or bool_and median mode quantile quantile_cont quantile_disc
    stddev stddev_samp stddev_pop variance var_samp var_pop corr
    row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value
    """.split()
)
_CLOCK = frozenset("current_date current_time current_timestamp localtime localtimestamp current_user session_user current_role user".split())
"""Names that SQL takes for functions though they stand without parentheses."""
_ODD = {"SHOW_REF": "SHOW、DESCRIBE 的结果", "PIVOT": "PIVOT 的结果"}
"""Kinds of tables that name none of the marts."""
TOO_DEEP = "SQL 嵌套过深"
_DEPTH = 300
"""Levels of the parsed tree; a condition takes some three for each of its own."""


def refused(tree: Any) -> str | None:
    """Why a condition, as DuckDB's ``json_serialize_sql`` takes it apart, may not be a rule's, in Chinese; None when it may."""
    waiting: list[tuple[Any, int, bool]] = [(tree, 0, False)]  # node, depth, whether its value has a name or is a table's
    while waiting:
        node, depth, is_named = waiting.pop()
        if depth > _DEPTH:
            return TOO_DEEP
        if isinstance(node, list):
            waiting += [(part, depth + 1, is_named) for part in node]
        if not isinstance(node, dict):
            continue
        kind = node.get("class")
        is_named = is_named or bool(kind and node.get("alias")) or kind == "LAMBDA"
        if reason := _refused(node, is_named):
            return reason
        for key, part in node.items():
            if node.get("type") == "TABLE_FUNCTION" and key == "function":
                part = part["arguments"]
            waiting.append((part, depth + 1, is_named or key == "from_table"))
    return None


def _refused(node: Node, is_named: bool) -> str | None:
    if node.get("sample"):
        return "不能抽样：每次结果不同"
    if (node.get("cte_map") or {}).get("map"):
        return "不能用 WITH，请写成子查询"
    if (kind := node.get("type")) in _ODD:
        return f"不能读取 {_ODD[kind]}，只能读取 marts 中的数据表"
    match node.get("class"):
        case "COLUMN_REF" if len(node["column_names"]) == 1 and (name := node["column_names"][0].lower()) in _CLOCK:
            return f"不能用 {name}：每次结果不同"
        case "TYPE" if node["type_name"].lower() == "array":
            return "不能转换为定长数组"
        case "FUNCTION" | "WINDOW":
            return _refused_call(node, node["function_name"].lower(), is_named)
    return None


def _refused_call(node: Node, name: str, is_named: bool) -> str | None:
    if name in _GROWING:
        return f"{name} 拼出来的值不能再起名使用（FROM 里、起了别名的列、lambda 里），会无限变长" if is_named else None
    if name not in _OF_ROW | _OF_ROWS:
        return f"不能用函数 {name}：规则只能用结果大小有限、每次结果相同的函数"
    if name in ("replace", "regexp_replace"):
        old, new, *_ = [*(_text(argument) for argument in _arguments(node)[1:3]), None, None]
        if new != "" and (name != "replace" or not old or new is None or len(new) > len(old)):
            return f"{name} 的替换内容要直接写明，" + ("不能比被替换的内容长" if name == "replace" else "只能是空文字")
    return None


def _arguments(node: Node) -> list[Node]:
    return [argument["expression"] for argument in node["arguments"]]


def _text(node: Node) -> str | None:
    """The text that a literal is; None for anything else."""
    literal = node.get("literal") if node.get("class") == "CONSTANT" else None
    return str(literal["text"]) if literal and literal["kind"] == "STRING" else None
