"""What the law says of a case, one rule a test (ALL: Administrative Licence Law); real days of 2025."""

from datetime import date, timedelta
from typing import Any

import pytest

from models.core.processes.deadlines import Deadline
from models.core.processes.service import ROLES, shipped
from models.domain.clock import PAUSE_KINDS, Limits
from models.domain.errors import YiwangError
from tests.unit.models_core.life import LICENCE, Life, accepted, at

FEW = {"missing": ("照片",)}
HEARING: dict[str, Any] = {"special_kind": "hearing", "has_written_notice": True}


def refused(life: Life, action: str, on: str, match: str | None = None, **with_: Any) -> str:
    """The code with which it is refused; the case does not move."""
    before = life.state
    with pytest.raises(YiwangError, match=match) as caught:
        life.do(action, on, **with_)
    assert life.state is before
    return caught.value.code


# Acceptance, ALL art. 32


@pytest.mark.parametrize(
    ("handed_in", "last_day"),
    [
        ("03-03 09:00", "03-10"),
        ("03-03 23:59", "03-10"),
        ("03-08 12:00", "03-14"),  # a Saturday: the five days begin on Monday
        ("01-23 10:00", "02-06"),  # ahead of the Spring Festival: 24, 26 (a Sunday at work), 27, 5, 6
        ("09-26 17:00", "10-10"),  # 28 (a Sunday at work), 29, 30, 9, 10
    ],
)
def test_silence_of_five_working_days_accepts_from_the_day_of_receipt(handed_in: str, last_day: str) -> None:
    life = Life().all(handed_in, "submit", "pass")
    life.wait(f"{last_day} 23:59")
    assert life.stands[0] == "received"
    moved = life.wait(str((at(last_day) + timedelta(days=1)).date()) + " 00:00")
    assert life.stands == ("in_approval", None, {"handling"}) and life.state.accepted_at == at(handed_in)
    assert [(entry.action, entry.role) for entry in moved.entries] == [("deemed_accepted", "system")]
    assert moved.documents == ("受理通知书",)
    assert life.clocks(last_day).is_deemed_accepted is False or life.clocks(last_day).accepted_at == at(handed_in)


@pytest.mark.parametrize("stands", [("submit",), ("submit", "pass"), ("submit", "return")])
def test_wherever_it_lies_in_the_body_silence_accepts(stands: tuple[str, ...]) -> None:
    life = Life().all("03-03", *stands)
    life.wait("03-11 00:00")
    assert life.stands == ("in_approval", None, {"handling"}) and life.state.is_deemed_accepted


def test_a_return_in_pre_review_stops_nothing_and_the_day_of_receipt_stays() -> None:
    life = Life().all("03-03", "submit", "return").all("03-07", "submit")
    assert life.state.received_at == at("03-03")
    assert life.wait("03-11 00:00").entries and life.state.accepted_at == at("03-03")


def test_what_is_missing_is_told_once_and_within_five_days() -> None:
    life = Life().all("03-03", "submit", "pass").all("03-10 23:00", "ask_correction")
    assert life.stands == ("correcting", None, {"correction"})
    life.do("correct", "03-20")
    assert refused(life, "ask_correction", "03-21") == "YW-CORE-001", "a second notice"
    late = Life().all("03-03", "submit", "pass")
    assert refused(late, "ask_correction", "03-11") == "YW-CORE-001", "the sixth day: accepted already"


def test_after_the_complete_set_came_five_days_run_anew() -> None:
    life = Life().all("03-03", "submit", "pass", "ask_correction").all("03-20", "correct")
    life.wait("03-27 23:59")
    assert life.stands[0] == "received"
    life.wait("03-28 00:00")
    assert life.state.is_deemed_accepted and life.state.accepted_at == at("03-20") and life.state.marking.is_corrected
    assert life.clocks("03-28").accepted_at == at("03-20")


def test_who_does_not_answer_a_correction_has_lapsed() -> None:
    life = Life().all("03-03", "submit", "pass", "ask_correction")
    life.wait("03-31 23:59")
    assert life.stands[0] == "correcting"
    life.wait("04-01 00:00")  # twenty working days after 03-03
    assert life.stands == ("closed", "correction_lapsed", set()) and life.state.accepted_at is None
    assert refused(life, "correct", "04-01") == "YW-CORE-001"


def test_beyond_the_published_calendar_nothing_lapses() -> None:
    life = Life().all("2026-12-30", "submit", "pass")
    assert life.wait("2029-01-01").entries == () and life.engine.next_timer(life.state) is None


# Special procedures, ALL art. 45


@pytest.mark.parametrize("kind", sorted(PAUSE_KINDS))
def test_a_special_procedure_of_the_list_stops_the_clock(kind: str) -> None:
    life = accepted()
    life.do("suspend", "03-04", special_kind=kind, has_written_notice=True)
    assert life.clocks("03-05").is_paused
    life.do("resume", "03-11")
    assert life.clocks("03-11").paused_days == 5 and life.clocks("03-11").due_on == date(2025, 3, 24)


@pytest.mark.parametrize(
    ("with_", "says"),
    [
        ({"special_kind": "hearing"}, "书面告知"),
        ({"special_kind": "publication", "has_written_notice": True}, "特别程序须为"),
        ({"special_kind": "holiday", "has_written_notice": True}, "特别程序须为"),
        ({"has_written_notice": True}, "特别程序须为"),
        (HEARING | {"reason": "  "}, "理由"),
    ],
)
def test_nothing_else_stops_it(with_: dict[str, Any], says: str) -> None:
    assert refused(accepted(), "suspend", "03-04", says, **with_) == "YW-CORE-003"


def test_publication_stops_the_clock_where_the_matter_says_so() -> None:
    life = accepted(limits=Limits("01", 10, "wd", is_publication_excluded=True))
    life.do("suspend", "03-04", special_kind="publication", has_written_notice=True)
    life.do("resume", "03-11")
    assert life.clocks("03-11").paused_days == 5 and not life.clocks("03-11").has_invalid_pause


def test_while_it_goes_on_the_case_rests() -> None:
    life = accepted()
    life.do("suspend", "03-04", **HEARING)
    assert life.possible("03-05") == {"resume", "withdraw", "terminate"}
    assert refused(life, "handle", "03-05", "特别程序进行中") == "YW-CORE-001"
    assert refused(life, "suspend", "03-05", **HEARING) == "YW-CORE-001"
    life.do("withdraw", "03-06")
    assert life.stands == ("closed", "withdrawn", set()) and not life.state.is_suspended


def test_a_pause_may_begin_at_the_instant_at_which_another_ends() -> None:
    life = accepted()
    life.do("suspend", "03-04", **HEARING)
    life.do("resume", "03-06")
    life.do("suspend", "03-06", **HEARING)
    life.do("resume", "03-11")
    assert life.clocks("03-11").paused_days == 5 and life.clocks("03-11").due_on == date(2025, 3, 24)


def test_before_acceptance_there_is_nothing_to_stop() -> None:
    assert refused(Life().all("03-03", "submit"), "suspend", "03-03", **HEARING) == "YW-CORE-001"


# Extension, ALL art. 42


@pytest.mark.parametrize(
    ("on", "days", "is_valid"),
    [("03-04", 10, True), ("03-04", 11, False), ("03-04", 0, False), ("03-04", None, False), ("03-31", 5, True), ("04-01", 5, False)],
)
def test_the_limit_is_extended_before_it_ends_by_ten_days_at_most(on: str, days: int | None, is_valid: bool) -> None:
    life = accepted()  # statutory: due on 03-31
    if is_valid:
        life.do("extend", on, extension_days=days)
        assert life.clocks(on).extension_days == days and life.state.is_extended
        assert refused(life, "extend", on, "已经延长过", extension_days=1) == "YW-CORE-001"
    else:
        refused(life, "extend", on, extension_days=days)
        assert life.clocks("03-04").extension_days == 0
    assert ("extend" in life.possible(on)) == (on != "04-01" and not is_valid)


def test_only_the_head_extends() -> None:
    for role in ROLES - {"head"}:
        assert refused(accepted(), "extend", "03-04", extension_days=1, roles=frozenset({role})) == "YW-CORE-002"
    accepted().do("extend", "03-04", extension_days=1, roles=frozenset({"head"}))


def test_joint_handling_is_extended_by_the_head_of_the_government_by_fifteen_days() -> None:
    joint = Limits("01", is_joint=True)
    life = Life("licence_joint", joint).all("03-03", "submit", "accept")
    assert life.clocks("03-03").due_on == date(2025, 5, 8)  # 45 working days
    assert refused(life, "extend", "03-04", extension_days=16) == "YW-CORE-003"
    assert refused(life, "extend", "03-04", extension_days=15, roles=frozenset({"head"})) == "YW-CORE-002"
    life.do("extend", "03-04", extension_days=15, roles=frozenset({"government_head"}))
    assert life.clocks("03-04").due_on == date(2025, 5, 29)
    plain = accepted(limits=joint)
    assert refused(plain, "extend", "03-04", "本级人民政府", extension_days=5) == "YW-CORE-001" and "extend" not in plain.possible("03-04")


# Refusal and denial, ALL art. 32, 38


@pytest.mark.parametrize("reason", [None, "", " \n"])
def test_nobody_is_turned_away_without_a_reason(reason: str | None) -> None:
    assert refused(Life().all("03-03", "submit", "pass"), "refuse", "03-04", "理由", reason=reason) == "YW-CORE-003"
    deciding = accepted().all("03-04", "handle", "review")
    assert refused(deciding, "deny", "03-05", "理由", reason=reason) == "YW-CORE-003"
    assert refused(deciding, "terminate", "03-05", "理由", reason=reason) == "YW-CORE-003"
    deciding.do("grant", "03-05", reason=reason)
    assert deciding.stands == ("completed", "granted", {"issue"})


def test_a_denial_is_delivered_and_a_refusal_ends_the_case() -> None:
    life = accepted().all("03-04", "handle", "review")
    assert life.do("deny", "03-05").documents == ("不予行政许可决定书",) and life.stands == ("completed", "denied", {"delivery"})
    turned = Life().all("03-03", "submit", "pass", "refuse")
    assert turned.stands == ("completed", "refused", set()) and turned.state.accepted_at is None
    assert turned.possible("03-04") == set()


def test_nothing_is_granted_without_acceptance() -> None:
    for done in ((), ("submit",), ("submit", "pass")):
        assert refused(Life().all("03-03", *done), "grant", "03-03") == "YW-CORE-001"


# Tolerance acceptance 容缺受理 (国发〔2022〕5号)


def test_the_result_waits_for_what_was_accepted_as_missing() -> None:
    life = Life().all("03-03", "submit", "pass")
    life.do("accept", "03-03", **FEW)
    life.all("03-04", "handle", "review")
    assert "grant" not in life.possible("03-04") and "deny" in life.possible("03-04")
    assert refused(life, "grant", "03-04", "照片") == "YW-CORE-001"
    assert refused(life, "supply", "03-05", missing=("别的",)) == "YW-CORE-003"
    life.do("supply", "03-05", **FEW)
    life.do("grant", "03-05")
    assert life.stands[1] == "granted" and life.clocks("03-05").correction_count == 0


def test_what_does_not_come_in_time_ends_the_case_even_while_it_rests() -> None:
    life = Life().all("03-03", "submit", "pass")
    life.do("accept", "03-03", **FEW)
    life.do("suspend", "03-04", **HEARING)
    life.wait("03-10 23:59")
    assert life.stands[0] == "in_approval" and life.possible("03-10") == {"supply", "resume", "withdraw", "terminate"}
    life.wait("03-11 00:00")
    assert life.stands == ("closed", "terminated", set()) and not life.state.is_suspended
    assert "照片" in (life.state.entries[-1].reason or "")


@pytest.mark.parametrize("named", [("", ), ("照片", "照片"), ("  ",)])
def test_what_is_missing_has_a_name(named: tuple[str, ...]) -> None:
    assert refused(Life().all("03-03", "submit", "pass"), "accept", "03-03", "材料名称", missing=named) == "YW-CORE-003"


def test_only_a_process_that_tolerates_accepts_incomplete() -> None:
    assert refused(Life("renewal").all("03-03", "submit"), "accept", "03-03", "容缺", **FEW) == "YW-CORE-003"


# Renewal, ALL art. 50


@pytest.mark.parametrize(
    ("handed_in", "expires", "is_granted"),
    [("03-03", date(2025, 5, 30), True), ("03-03", date(2025, 4, 2), True), ("03-03", date(2025, 4, 1), False)],
)
def test_renewal_asked_for_thirty_days_ahead_and_not_decided_is_granted_with_the_last_day(handed_in: str, expires: date, is_granted: bool) -> None:
    life = Life("renewal", expires_on=expires).all(handed_in, "submit", "accept", "review")
    life.wait(f"{expires} 23:59")
    assert life.stands[0] == "in_approval"
    moved = life.wait(str(expires + timedelta(days=2)))
    assert (life.stands == ("completed", "granted", {"issue"})) == is_granted == bool(moved.entries)
    if is_granted:
        assert life.state.completed_at is not None and life.state.completed_at.astimezone(at("03-03").tzinfo).date() == expires
        assert moved.documents == ("准予延续行政许可决定书",)


def test_where_nothing_expires_silence_grants_at_the_end_of_the_laws_limit_not_of_the_promise() -> None:
    renewal = shipped()["renewal"]
    tacit = renewal.model_copy(update={"rules": renewal.rules.model_copy(update={"renewal_before": None})})
    life = Life(tacit).all("03-03", "submit", "accept")
    life.wait("03-20")
    assert life.stands[0] == "in_approval", "the promise of ten days is broken, the law's twenty go on"
    life.do("suspend", "03-20", **HEARING | {"special_kind": "testing"})
    life.wait("05-01")
    assert life.stands[0] == "in_approval", "what is not counted is not silence"
    life.do("resume", "05-06")
    life.wait("07-01")
    assert life.stands[1] == "granted" and life.clocks("07-01").is_statutory_late is False


def test_a_renewal_of_a_licence_whose_last_day_nobody_stated_is_not_granted_by_silence() -> None:
    life = Life("renewal").all("03-03", "submit", "accept")
    assert life.wait("12-01").entries == () and life.stands[0] == "in_approval"


def test_a_licence_that_is_over_is_not_renewed() -> None:
    life = Life("renewal", expires_on=date(2025, 3, 3))
    assert life.possible("03-03", "applicant") == {"submit"} and life.possible("03-04", "applicant") == set()
    assert refused(life, "submit", "03-04", "到期") == "YW-CORE-001"


def test_a_licence_is_never_granted_by_silence() -> None:
    life = accepted()
    assert life.wait("12-01").entries == () and life.stands[0] == "in_approval"


def test_an_expiry_that_has_passed_when_the_case_goes_on_is_not_written_into_the_past() -> None:
    life = Life("renewal", expires_on=date(2025, 4, 5)).all("03-03", "submit", "ask_correction").all("03-28", "correct")
    moved = life.wait("04-08")  # deemed accepted when the fifth day of silence, 04-07, is over (04-04 is a holiday)
    assert [(entry.action, entry.at) for entry in moved.entries] == [("deemed_accepted", at("04-08 00:00")), ("silence", at("04-08 00:00"))]
    assert life.state.accepted_at == at("03-28") and life.stands[1] == "granted"


# Commitment 告知承诺 (国办发〔2020〕42号)


def test_a_promise_is_taken_back_before_completion_and_the_case_goes_on() -> None:
    life = accepted(is_commitment=True).all("03-04", "handle")
    assert refused(life, "give_up", "03-04", "理由", reason=None) == "YW-CORE-003"
    life.do("give_up", "03-05", missing=("健康证明",))
    assert life.stands == ("in_approval", None, {"review"}) and not life.state.marking.is_commitment
    assert refused(life, "give_up", "03-05") == "YW-CORE-001"
    life.do("review", "03-06")
    assert refused(life, "grant", "03-06", "健康证明") == "YW-CORE-001", "now it must be proved"
    life.do("supply", "03-12", missing=("健康证明",))  # five working days from the day the promise was taken back
    life.do("grant", "03-12")
    assert refused(life, "give_up", "03-13") == "YW-CORE-001", "after completion"


def test_without_a_promise_there_is_none_to_take_back() -> None:
    assert refused(accepted(), "give_up", "03-04") == "YW-CORE-001"


def test_before_acceptance_proofs_come_by_correction() -> None:
    life = Life(is_commitment=True).all("03-03", "submit", "pass")
    assert refused(life, "give_up", "03-03", "补正", missing=("证明",)) == "YW-CORE-003"
    life.all("03-03", "give_up", "ask_correction")


def test_a_licence_on_a_promise_is_granted_at_once_and_checked_afterwards() -> None:
    life = Life("licence_commitment", is_commitment=True).all("03-03", "submit", "accept_promise")
    assert life.possible("03-03", "approver") == {"grant_on_promise", "terminate"}
    life.all("03-04", "grant_on_promise", "issue", "deliver")
    assert life.stands == ("completed", "granted", {"check"})
    life.all("04-20", "kept", "close")
    assert life.stands[0] == "closed"
    back = Life("licence_commitment", is_commitment=True).all("03-03", "submit", "accept_promise").all("03-04", "give_up")
    assert back.stands == ("in_approval", None, {"handling"})
    back.all("03-05", "handle", "grant", "issue", "deliver")
    assert back.stands == ("closed", "granted", set())


def test_a_promise_that_nobody_looked_at_in_time_is_accepted_as_one() -> None:
    life = Life("licence_commitment", is_commitment=True).all("03-03", "submit")
    life.wait("03-11")
    assert life.stands == ("in_approval", None, {"promise"}) and life.state.is_deemed_accepted


# Decision on the spot, ALL art. 34


def test_a_decision_on_the_spot_accepts_what_it_decides() -> None:
    life = Life("on_the_spot", Limits("01", 0, "wd")).all("03-03 09:00", "submit").all("03-03 09:20", "grant")
    assert life.stands == ("completed", "granted", {"issue"}) and life.state.accepted_at == at("03-03 09:00")
    clocks = life.clocks("03-03 10:00")
    assert clocks.accepted_at == at("03-03 09:00") and not clocks.is_deemed_accepted and clocks.is_late is False


def test_a_window_that_is_silent_has_accepted_and_must_decide() -> None:
    life = Life("on_the_spot").all("03-03", "submit")
    life.wait("03-11")
    assert life.stands == ("in_approval", None, {"window"}) and life.possible("03-11", "clerk") == {"grant", "deny"}
    assert life.do("grant", "03-11").state.accepted_at == at("03-03")


def test_after_a_correction_the_decision_accepts_from_the_complete_set() -> None:
    life = Life("on_the_spot").all("03-03", "submit", "ask_correction").all("03-06", "correct", "grant")
    assert life.state.accepted_at == at("03-06") == life.clocks("03-06").accepted_at


# Withdrawal and termination


@pytest.mark.parametrize("done", [("submit",), ("submit", "return"), ("submit", "pass", "ask_correction"), ("submit", "pass", "accept", "handle")])
@pytest.mark.parametrize(("action", "outcome"), [("withdraw", "withdrawn"), ("terminate", "terminated")])
def test_an_open_case_is_withdrawn_or_terminated(done: tuple[str, ...], action: str, outcome: str) -> None:
    life = Life().all("03-03", *done)
    life.do(action, "03-04")
    assert life.stands == ("closed", outcome, set()) and life.state.completed_at == at("03-04") and life.possible("03-05") == set()
    assert life.wait("12-01").entries == ()


def test_what_is_decided_or_not_handed_in_cannot_be_withdrawn() -> None:
    assert refused(Life(), "withdraw", "03-03") == "YW-CORE-001"
    assert refused(accepted().all("03-04", "handle", "review", "grant"), "withdraw", "03-05") == "YW-CORE-001"


# Branches side by side, ALL art. 26


def test_the_join_waits_for_all_branches() -> None:
    life = Life("licence_joint", LICENCE).all("03-03", "submit", "accept")
    branches = {"opinion_first", "opinion_second", "opinion_third"}
    assert life.stands[2] == branches
    assert refused(life, "agree", "03-04", "写明环节") == "YW-CORE-003"
    life.do("agree", "03-04", step="opinion_second")
    assert refused(life, "agree", "03-04", step="opinion_second") == "YW-CORE-001", "once"
    life.do("disagree", "03-05", step="opinion_first")
    assert life.stands[2] == {"opinion_third"} and life.state.marking.waiting == {"opinion_first", "opinion_second"}
    life.do("not_concerned", "03-06")
    assert life.stands[2] == {"summary"} and not life.state.marking.waiting
    life.all("03-07", "summarise", "send_back")
    assert life.stands[2] == branches, "all of them again"


def test_a_branch_that_goes_back_to_the_applicant_does_not_count_as_done() -> None:
    life = Life("engineering", LICENCE).all("03-03", "submit", "accept", "ask_redraw", "check_fire")
    for step in ("fire_opinion", "civil_defence", "municipal"):
        life.do("agree", "03-04", step=step)
    assert life.stands[2] == {"redraw"}
    life.all("03-05", "redraw", "agree")
    assert life.stands[2] == {"summary"}


def test_withdrawal_ends_all_branches() -> None:
    life = Life("licence_joint").all("03-03", "submit", "accept")
    life.do("agree", "03-04", step="opinion_first")
    moved = life.do("withdraw", "03-04")
    assert moved.ended == {"opinion_second", "opinion_third"} and not life.state.marking.waiting


def test_a_transfer_names_the_unit() -> None:
    assert refused(accepted(), "transfer", "03-04", "哪个单位") == "YW-CORE-003"
    life = accepted()
    assert life.do("transfer", "03-04", unit_code="B02").entries[0].unit_code == "B02" and life.stands[2] == {"handling"}


# Internal processes


def test_internal_processes_know_no_acceptance_and_no_statutory_clock() -> None:
    life = Life("rectification", Limits()).all("03-03", "open")
    assert life.wait("12-01").entries == ()
    life.all("12-01", "plan", "rectify", "reject", "rectify", "confirm")
    assert life.stands == ("completed", "rectified", set()) and life.state.accepted_at is None and life.state.marking.is_over


def test_a_bad_review_is_verified_put_right_answered_and_visited() -> None:
    life = Life("review_followup", Limits()).all("03-03", "open", "as_simple", "rectify", "answer", "again", "rectify", "answer")
    assert refused(life, "finish", "03-04", "办理结果") == "YW-CORE-003"
    life.do("finish", "03-04", outcome="rectified")
    assert life.stands == ("completed", "rectified", set())
    assert life.step_due("verify", "03-03") == Deadline(date(2025, 3, 4)) and life.step_due("complex", "03-03") == Deadline(date(2025, 3, 24))
