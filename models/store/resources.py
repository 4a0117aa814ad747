"""What can be asked of a snapshot: each resource's table, filters, sort orders and details.

Data only. Every name that reaches SQL comes from here; values are bound as parameters
(:mod:`models.store.warehouse`).
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Filter:
    """A condition on one column.

    Attributes:
        column: Column of the resource's table.
        test: ``=`` (a list means any of them), ``>=``, ``<=``, ``contains``, ``positive`` (whether it is above 0) or
            ``present`` (whether it has a value).
    """

    column: str
    test: str = "="


@dataclass(frozen=True)
class Detail:
    """Rows of another table that belong to one row of a resource.

    Attributes:
        table: Table in ``marts``.
        on: Columns that both share.
        order: Sort order of the rows.
    """

    table: str
    on: tuple[str, ...]
    order: str


@dataclass(frozen=True)
class Resource:
    """One resource.

    Attributes:
        title: What people call one of it, in Chinese.
        table: Table in ``marts``.
        key: Columns that name one row.
        sorts: Columns that a list may be sorted by, the first one by default; ``-`` in front means descending.
        filters: Parameter name → condition.
        details: Name → rows shown with one row.
    """

    title: str
    table: str
    key: tuple[str, ...]
    sorts: tuple[str, ...]
    filters: dict[str, Filter]
    details: dict[str, Detail] = field(default_factory=dict)


def _same(*columns: str) -> dict[str, Filter]:
    return {column: Filter(column) for column in columns}


def _days(prefix: str, column: str) -> dict[str, Filter]:
    return {f"{prefix}_from": Filter(column, ">="), f"{prefix}_to": Filter(column, "<=")}


RESOURCES: dict[str, Resource] = {
    "matters": Resource(
        title="事项",
        table="dim_matter",
        key=("source", "matter_code"),
        sorts=("matter_code", "matter_name", "updated_at"),
        filters=_same(
            "source", "matter_code", "department_code", "region_code", "type_code", "case_kind_code", "matter_state_code", "is_online",
            "is_one_window", "has_certificate",
        )
        | {"name": Filter("matter_name", "contains")},
    ),
    "cases": Resource(
        title="办件",
        table="fct_case",
        key=("source", "case_number"),
        sorts=("-received_at", "completed_at", "due_at", "case_number"),
        filters=_same(
            "source", "case_number", "matter_code", "department_code", "region_code", "window_code", "channel_code", "case_kind_code",
            "type_code", "outcome_code", "applicant_id_digest", "is_completed", "is_late", "is_statutory_late", "is_delivery_late", "is_paused",
            "is_deemed_accepted", "is_told_once_in_time", "is_commitment", "is_tolerance", "is_matter_known", "is_matter_in_force",
            "is_certificate_due", "is_end_before_start", "has_invalid_pause", "has_invalid_extension", "correction_count",
        )
        | {"is_corrected": Filter("correction_count", "positive"), "has_limit": Filter("is_late", "present")}
        | _days("received", "received_on") | _days("completed", "completed_on") | _days("due", "due_on"),
        details={
            "events": Detail("fct_case_event", ("source", "case_number"), "sequence"),
            "certificates": Detail("fct_certificate", ("source", "case_number"), "issued_on, certificate_id"),
            "reviews": Detail("fct_review", ("source", "case_number"), "reviewed_at, review_id"),
        },
    ),
    "departments": Resource(
        title="部门",
        table="dim_department",
        key=("department_code",),
        sorts=("sort_order", "department_code", "department_name"),
        filters=_same("source", "department_code", "department_kind_code", "region_code") | {"name": Filter("department_name", "contains")},
    ),
    "scores": Resource(
        title="得分",
        table="score_department_month",
        key=("system_code", "department_code", "month"),
        sorts=("-month", "rank", "score", "department_code"),
        filters=_same("system_code", "department_code", "month") | {"month_from": Filter("month", ">="), "month_to": Filter("month", "<=")},
        details={
            "indicators": Detail("score_indicator_month", ("system_code", "department_code", "month"), "indicator_code"),
        },
    ),
    "measures": Resource(
        title="日指标",
        table="mart_department_day",
        key=("date", "department_code", "measure_code"),
        sorts=("-date", "department_code"),
        filters=_same("department_code", "measure_code", "null_reason") | _days("date", "date"),
    ),
    "runs": Resource(
        title="运行",
        table="run",
        key=("run_id",),
        sorts=("-run_seq", "as_of"),
        filters=_same("state"),
        details={"sync": Detail("mart_sync_run", ("run_id",), "source, subject")},
    ),
    "checks": Resource(
        title="检查",
        table="check_result",
        key=("run_id", "table_name", "check_name"),
        sorts=("passed", "severity", "table_name", "failed_rows"),
        filters=_same("run_id", "check_name", "table_name", "dimension", "severity", "passed"),
    ),
}
"""Name in the address → resource."""

QUALITY: dict[str, Resource] = {
    "quality/violations": Resource(
        title="质检问题",
        table="quality_violation",
        key=("rule_id", "source", "record_key"),
        sorts=("-last_seen_at", "first_seen_at", "severity", "rule_id"),
        filters=_same("rule_id", "table_name", "source", "record_key", "department_code", "severity", "dimension")
        | _days("partition", "partition_on") | {"is_healed": Filter("healed_at", "present")},
    ),
    "quality/rules": Resource(
        title="质检规则",
        table="quality_rule",
        key=("rule_id",),
        sorts=("rule_id", "severity", "subject"),
        filters=_same("rule_id", "table_name", "subject", "dimension", "severity", "gate", "status"),
    ),
    "quality/checks": Resource(
        title="质检分区结果",
        table="quality_check",
        key=("rule_id", "partition_on"),
        sorts=("-partition_on", "rule_id", "rows_failed"),
        filters=_same("rule_id", "table_name", "run_id", "status") | _days("partition", "partition_on"),
    ),
    "quality/departments": Resource(
        title="部门每日质检",
        table="mart_quality_department_day",
        key=("date", "department_code", "rule_id"),
        sorts=("-date", "department_code", "rows_failed"),
        filters=_same("department_code", "rule_id", "subject", "dimension", "severity") | _days("date", "date"),
    ),
    "quality/days": Resource(
        title="质检趋势",
        table="mart_quality_rule_day",
        key=("date", "rule_id"),
        sorts=("-date", "rule_id", "rows_failed"),
        filters=_same("rule_id", "status") | _days("date", "date"),
    ),
    "quality/suspicions": Resource(
        title="可疑记录",
        table="quality_suspicion",
        key=("kind", "rank"),
        sorts=("kind", "rank", "-score", "partition_on"),
        filters=_same("kind", "table_name", "source", "record_key", "department_code", "breaks_rule") | _days("partition", "partition_on"),
    ),
    "quality/profile": Resource(
        title="数据画像",
        table="quality_profile",
        key=("month", "table_name", "column_name"),
        sorts=("-month", "table_name", "position", "drift"),
        filters=_same("table_name", "column_name", "is_personal", "is_drifted", "drift_basis") | _days("month", "month"),
    ),
}
"""Name in the address → resource of the quality ledger."""

CATALOGUE: dict[str, Resource] = {
    "catalogue/sources": Resource(
        title="数据源",
        table="catalogue_source",
        key=("source", "subject"),
        sorts=("source", "subject", "freshness", "newest_at", "row_count"),
        filters=_same("source", "subject", "kind", "freshness", "is_configured"),
    ),
    "catalogue/tables": Resource(
        title="表",
        table="catalogue_table",
        key=("table_name",),
        sorts=("sort_order", "table_name", "row_count"),
        filters=_same("layer", "kind", "owner") | {"name": Filter("table_name", "contains"), "title": Filter("title", "contains")},
    ),
    "catalogue/columns": Resource(
        title="列",
        table="catalogue_column",
        key=("table_name", "column_name"),
        sorts=("table_name", "column_name"),
        filters=_same("table_name", "column_name", "gb_item", "code_table", "is_personal") | {"title": Filter("title", "contains")},
    ),
    "catalogue/lineage": Resource(
        title="血缘",
        table="catalogue_lineage",
        key=("upstream", "downstream"),
        sorts=("upstream", "downstream"),
        filters=_same("upstream", "downstream", "told_by"),
    ),
    "catalogue/partitions": Resource(
        title="分区",
        table="catalogue_partition",
        key=("table_name", "source", "grain", "partition_on", "reason"),
        sorts=("-partition_on", "table_name", "row_count"),
        filters=_same("table_name", "source", "subject", "grain", "verdict", "reason", "is_expected") | _days("partition", "partition_on"),
    ),
}
"""Name in the address → resource of the catalogue, which the pipelines publish as data with the marts."""

ALL: dict[str, Resource] = RESOURCES | CATALOGUE | QUALITY
