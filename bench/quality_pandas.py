"""The rules as somebody writes them for Great Expectations on pandas: its own expectations where it has one, else a column of what fails.

Such a column is made with comparisons, ``isin`` and ``merge`` over whole frames, and expected to hold ``False`` only. Written out are the
rules about one row and about two marts that say the same in a line or two; the shipped catalogue has more.
"""

from collections.abc import Callable
from typing import Any

import duckdb

from quality.catalogue.model import Rule

Frames = dict[str, Any]
"""Mart → pandas frame, with ``key``: source and case number."""
Mask = Callable[[Frames], Any]

CASE, EVENT, CERTIFICATE, REVIEW = "fct_case", "fct_case_event", "fct_certificate", "fct_review"


def _own(table: str, mask: Callable[[Any], Any]) -> Mask:
    return lambda frames: mask(frames[table])


def _flaw(column: str, flaw: str) -> Mask:
    return _own(CASE, lambda c: c[column].eq(flaw))


def _steps(frames: Frames, *activities: str) -> Any:
    events = frames[EVENT]
    return events.key[events.activity_code.isin(activities)] if activities else events.key


def _outcome_without_step(outcome: str) -> Mask:
    return lambda f: f[CASE].outcome_code.eq(outcome) & f[CASE].key.isin(_steps(f)) & ~f[CASE].key.isin(_steps(f, outcome))


def _of_case(table: str, mask: Callable[[Any], Any]) -> Mask:
    """Rows of a mart for one of whose cases a condition holds, over both merged; columns of the case end in ``_of_case``."""

    def found(frames: Frames) -> Any:
        rows = frames[table]
        merged = rows.reset_index().merge(frames[CASE].add_suffix("_of_case"), left_on="key", right_on="key_of_case", how="inner")
        return rows.index.isin(merged.loc[mask(merged), "index"])

    return found


def _now(frames: Frames) -> Any:
    return frames[CASE].as_of.max()


def _same_minute(frames: Frames) -> Any:
    events = frames[EVENT]
    spans = events.groupby("key").occurred_at.agg(["size", "min", "max"])
    fast = spans.index[(spans["size"] >= 4) & ((spans["max"] - spans["min"]).dt.total_seconds() < 60)]
    return events.key.isin(fast)


def _twice(frames: Frames) -> Any:
    r = frames[REVIEW]
    first = r.case_number.notna() & r.follows_review_id.isna()
    return first & r[first].duplicated(["key", "review_round"], keep=False).reindex(r.index, fill_value=False)


MASKS: dict[str, tuple[str, Mask]] = {
    **{f"case_name_{flaw}": (CASE, _flaw("applicant_name_flaw", flaw)) for flaw in ("garbled", "placeholder", "spaces", "characters", "short")},
    **{f"case_phone_{flaw}": (CASE, _flaw("contact_phone_flaw", flaw)) for flaw in ("missing", "characters", "length", "form")},
    "case_outcome_while_open": (CASE, _own(CASE, lambda c: c.completed_at.isna() & c.outcome_code.notna())),
    "case_applicant_id_invalid": (CASE, _own(CASE, lambda c: c.applicant_id_is_valid.eq(False))),
    "case_contact_id_invalid": (CASE, _own(CASE, lambda c: c.contact_id_is_valid.eq(False))),
    "case_completed_before_received": (CASE, _own(CASE, lambda c: c.completed_at.notna() & c.is_end_before_start.eq(True))),
    "case_accepted_after_completed": (CASE, _own(CASE, lambda c: c.is_end_before_start.eq(False) & (c.accepted_at > c.completed_at))),
    "case_applied_after_received": (CASE, _own(CASE, lambda c: c.applied_at > c.received_at)),
    "case_received_in_future": (CASE, lambda f: f[CASE].received_at > _now(f)),
    "case_completed_in_future": (CASE, lambda f: f[CASE].completed_at > _now(f)),
    "case_reported_before_received": (CASE, _own(CASE, lambda c: c.reported_at < c.received_at)),
    "case_matter_unknown": (CASE, _own(CASE, lambda c: c.matter_code.notna() & c.is_matter_known.eq(False))),
    "case_matter_not_in_force": (CASE, _own(CASE, lambda c: c.is_matter_known.eq(True) & c.is_matter_in_force.eq(False))),
    "case_region_unknown": (CASE, lambda f: f[CASE].region_code.notna() & ~f[CASE].region_code.isin(f["dim_region"].region_code)),
    "case_window_unknown": (CASE, lambda f: f[CASE].window_code.notna() & ~f[CASE].window_code.isin(f["dim_window"].window_code)),
    "case_without_steps": (CASE, lambda f: ~f[CASE].key.isin(_steps(f))),
    "case_without_received_step": (CASE, lambda f: f[CASE].key.isin(_steps(f)) & ~f[CASE].key.isin(_steps(f, "received"))),
    "case_without_completed_step": (CASE, lambda f: f[CASE].is_completed.eq(True) & f[CASE].key.isin(_steps(f)) & ~f[CASE].key.isin(_steps(f, "completed"))),
    "case_open_with_completed_step": (CASE, lambda f: f[CASE].completed_at.isna() & f[CASE].key.isin(_steps(f, "completed"))),
    **{f"case_{outcome}_without_step": (CASE, _outcome_without_step(outcome)) for outcome in ("refused", "withdrawn", "terminated")},
    "case_granted_after_refusal": (CASE, lambda f: f[CASE].outcome_code.eq("granted") & f[CASE].key.isin(_steps(f, "refused", "withdrawn", "terminated"))),
    "case_granted_without_acceptance": (
        CASE,
        lambda f: f[CASE].outcome_code.eq("granted") & f[CASE].is_completed.eq(True) & f[CASE].key.isin(_steps(f)) & ~f[CASE].key.isin(_steps(f, "accepted")),
    ),
    "case_online_with_window_steps": (CASE, lambda f: f[CASE].channel_code.isin(["2", "3"]) & f[CASE].key.isin(_steps(f, "queued"))),
    "case_window_with_online_steps": (CASE, lambda f: f[CASE].channel_code.eq("1") & f[CASE].key.isin(_steps(f, "pre_review_returned"))),
    "case_certificate_missing": (
        CASE, lambda f: f[CASE].is_certificate_due.eq(True) & ~f[CASE].key.isin(f[CERTIFICATE].key[f[CERTIFICATE].case_number.notna()]),
    ),
    "case_certificate_unnamed": (CASE, _own(CASE, lambda c: c.is_certificate_due.eq(True) & c.names_certificate.eq(False))),
    "event_ended_before_start": (EVENT, _own(EVENT, lambda e: e.ended_at < e.occurred_at)),
    "event_in_future": (EVENT, lambda f: f[EVENT].occurred_at > _now(f)),
    "event_out_of_order": (EVENT, _own(EVENT, lambda e: e.occurred_at < e.previous_occurred_at)),
    "event_open_and_ended": (EVENT, lambda f: f[EVENT].step_state_code.eq("1") & (f[EVENT].ended_at <= _now(f))),
    "event_same_minute": (EVENT, _same_minute),
    "event_sequence_repeated": (EVENT, _own(EVENT, lambda e: e.sequence.eq(e.previous_sequence))),
    "event_sequence_gap": (EVENT, _own(EVENT, lambda e: e.sequence > e.previous_sequence.fillna(0) + 1)),
    "event_window_unknown": (EVENT, lambda f: f[EVENT].window_code.notna() & ~f[EVENT].window_code.isin(f["dim_window"].window_code)),
    "event_case_unknown": (EVENT, lambda f: ~f[EVENT].key.isin(f[CASE].key)),
    "event_waiting_after_completion": (
        EVENT,
        lambda f: f[EVENT].step_state_code.eq("1") & ~f[EVENT].activity_code.isin(["issued", "delivered", "supervised"]) & f[EVENT].activity_code.notna()
        & f[EVENT].key.isin(f[CASE].key[f[CASE].is_completed.eq(True)]),
    ),
    "event_masked": (EVENT, _own(EVENT, lambda e: e.actor_masked.ne("") & e.actor_masked.notna() & ~e.actor_masked.str.contains("*", regex=False, na=False))),
    "certificate_id_check": (CERTIFICATE, _own(CERTIFICATE, lambda c: c.certificate_id_is_valid.eq(False))),
    "certificate_holder_id_invalid": (CERTIFICATE, _own(CERTIFICATE, lambda c: c.holder_id_is_valid.eq(False))),
    "certificate_validity_reversed": (CERTIFICATE, _own(CERTIFICATE, lambda c: c.valid_to < c.valid_from)),
    "certificate_ended_before_issue": (CERTIFICATE, _own(CERTIFICATE, lambda c: c.valid_to < c.issued_on)),
    "certificate_case_unknown": (CERTIFICATE, lambda f: f[CERTIFICATE].case_number.notna() & ~f[CERTIFICATE].key.isin(f[CASE].key)),
    "certificate_case_open": (CERTIFICATE, lambda f: f[CERTIFICATE].case_number.notna() & f[CERTIFICATE].key.isin(f[CASE].key[f[CASE].completed_at.isna()])),
    "certificate_before_case": (CERTIFICATE, _of_case(CERTIFICATE, lambda m: m.issued_on < m.received_on_of_case)),
    "certificate_before_decision": (
        CERTIFICATE, _of_case(CERTIFICATE, lambda m: (m.issued_on < m.completed_on_of_case) & (m.issued_on >= m.received_on_of_case)),
    ),
    "review_case_unknown": (REVIEW, lambda f: f[REVIEW].case_number.notna() & ~f[REVIEW].key.isin(f[CASE].key)),
    "review_before_case": (REVIEW, _of_case(REVIEW, lambda m: m.reviewed_at < m.received_at_of_case)),
    "review_before_completion": (
        REVIEW,
        _of_case(
            REVIEW,
            lambda m: (m.reviewed_at >= m.received_at_of_case) & ((m.reviewed_at < m.completed_at_of_case) | m.completed_at_of_case.isna()),
        ),
    ),
    "review_twice": (REVIEW, _twice),
    "review_in_future": (REVIEW, lambda f: f[REVIEW].reviewed_at > _now(f)),
    "review_default_bad": (REVIEW, _own(REVIEW, lambda r: r.is_default.eq(True) & r.is_bad.eq(True))),
    "review_rectified_before": (REVIEW, _own(REVIEW, lambda r: r.rectified_at < r.reviewed_at)),
    "review_visited_before": (REVIEW, _own(REVIEW, lambda r: r.visited_at < r.reviewed_at)),
}  # fmt: skip
"""Rule → its mart and the rows of it that fail."""


def is_declared(rule: Rule) -> bool:
    """Whether Great Expectations has an expectation of its own for a rule."""
    return rule.failing is None and (bool(rule.unique) or len(rule.columns) == 1)


def counts(connection: duckdb.DuckDBPyConnection, rules: list[Rule]) -> dict[str, int]:
    """Rows that fail, by Great Expectations on frames read from the marts: one batch a mart, and one for each group of rows that declared rules look at."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    source = context.data_sources.add_pandas("frames")
    found: dict[str, int] = {}

    def validate(frame: Any, expectations: list[Any]) -> None:
        name = f"frame{len(found)}"
        batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
        for one in batch.validate(gx.ExpectationSuite(name=name, expectations=expectations), result_format="SUMMARY").results:
            assert one.expectation_config is not None  # noqa: S101 - it has just been run
            found[one.expectation_config.meta["rule"]] = int(one.result.get("unexpected_count", 0))

    groups: dict[tuple[str, str], list[Rule]] = {}
    for rule in rules:
        if is_declared(rule):
            groups.setdefault((rule.table, rule.checked), []).append(rule)
    for (table, checked), own in groups.items():
        columns = ", ".join(sorted({column for rule in own for column in rule.columns}))
        frame = connection.execute(f"SELECT {columns} FROM marts.{table} AS t WHERE ({checked})").df()  # noqa: S608 - from the catalogue
        validate(frame, [_declared(gx.expectations, rule) for rule in own])
    frames: Frames = {}
    for table in (CASE, EVENT, CERTIFICATE, REVIEW, "dim_region", "dim_window"):
        frames[table] = connection.execute(f"FROM marts.{table}").df()
        if table.startswith("fct_"):
            frames[table]["key"] = frames[table].source + "/" + frames[table].case_number
    written = {rule.id for rule in rules} & MASKS.keys()
    for table in (CASE, EVENT, CERTIFICATE, REVIEW):
        own_masks = {rule: mask for rule, (of, mask) in MASKS.items() if of == table and rule in written}
        if own_masks:
            import pandas as pd

            failing = pd.DataFrame({rule: pd.Series(mask(frames), index=frames[table].index).fillna(False).astype(bool) for rule, mask in own_masks.items()})
            expect: Any = gx.expectations
            validate(failing, [expect.ExpectColumnValuesToBeInSet(column=rule, value_set=[False], meta={"rule": rule}) for rule in own_masks])
    return found


def _declared(built_in: Any, rule: Rule) -> Any:
    from models.domain.codes import code_tables

    said: dict[str, Any] = {"meta": {"rule": rule.id}}
    column = rule.columns[0]
    if rule.unique:
        if len(rule.columns) > 1:
            return built_in.ExpectCompoundColumnsToBeUnique(column_list=list(rule.columns), **said)
        return built_in.ExpectColumnValuesToBeUnique(column=column, **said)
    if rule.required:
        return built_in.ExpectColumnValuesToNotBeNull(column=column, **said)
    if rule.codes:
        return built_in.ExpectColumnValuesToBeInSet(column=column, value_set=sorted(code_tables()[rule.codes[column]]), **said)
    if rule.format:
        return built_in.ExpectColumnValuesToMatchRegex(column=column, regex=f"^(?:{rule.format[column]})$", **said)
    assert rule.length is not None  # noqa: S101 - one of five
    return built_in.ExpectColumnValueLengthsToBeBetween(column=column, min_value=rule.length[column][0], max_value=rule.length[column][1], **said)
