"""Definitions with a fault are refused with a Chinese sentence that names file and fault; those that ship are sound."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from models.core.processes import soundness
from models.core.processes.definition import Process
from models.core.processes.service import ROLES, load, load_all, shipped
from models.core.processes.soundness import faults
from models.domain.errors import YiwangError

Raw = dict[str, Any]
INTERNAL: Raw = {
    "process": "small", "version": 1, "title": "小流程", "kind": "internal", "start": "ask", "rules": {"accept_within": None},
    "steps": [
        {"step": "ask", "title": "提出", "role": "clerk"},
        {"step": "left", "title": "甲办", "role": "handler"},
        {"step": "right", "title": "乙办", "role": "handler"},
        {"step": "sum_up", "title": "汇总", "role": "reviewer", "needs": ["left", "right"]},
    ],
    "actions": [
        {"action": "ask", "title": "提出", "at": "ask", "effect": "submit", "activity": "received", "to": ["left", "right"]},
        {"action": "do_left", "title": "甲办结", "at": "left", "activity": "handled", "to": ["sum_up"]},
        {"action": "do_right", "title": "乙办结", "at": "right", "activity": "handled", "to": ["sum_up"]},
        {"action": "finish", "title": "办结", "at": "sum_up", "effect": "complete", "activity": "completed", "outcomes": ["rectified"]},
    ],
}  # fmt: skip


def write(folder: Path, raw: Raw, name: str = "small.yml") -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump(raw, allow_unicode=True), encoding="utf-8")
    return path


def copy(raw: Raw) -> Raw:
    return yaml.safe_load(yaml.safe_dump(raw))  # type: ignore[no-any-return]


def said(path: Path) -> str:
    with pytest.raises(YiwangError) as caught:
        load(path)
    assert caught.value.code == "YW-CORE-004"
    text = str(caught.value).split("\n")[0]
    assert path.name in text and "有误" in text and text.endswith("。")
    assert not re.search(r"[a-z]{3,} [a-z]{2,} [a-z]{2,}", text), f"English: {text}"
    return text


def test_what_ships_is_sound_and_what_the_tests_start_from_too(tmp_path: Path) -> None:
    assert {process.kind for process in shipped().values()} == {"public", "internal"}
    assert {"licence", "licence_joint", "licence_commitment", "on_the_spot", "registration", "renewal", "engineering"} <= set(shipped())
    assert {"rectification", "review_followup", "review_appeal", "complaint"} <= set(shipped())
    for process in shipped().values():
        assert faults(process, ROLES) == []
    assert load(write(tmp_path, INTERNAL)).process == "small"


def step(raw: Raw, name: str) -> Raw:
    return next(s for s in raw["steps"] if s["step"] == name)  # type: ignore[no-any-return]


def action(raw: Raw, name: str) -> Raw:
    return next(a for a in raw["actions"] if a["action"] == name)  # type: ignore[no-any-return]


def an_unreachable_step(raw: Raw) -> None:
    raw["steps"].append({"step": "island", "title": "孤岛", "role": "clerk"})
    raw["actions"].append({"action": "leave", "title": "离岛", "at": "island", "activity": "handled", "to": ["left"]})


def a_dead_end(raw: Raw) -> None:
    raw["steps"].append({"step": "pit", "title": "坑", "role": "clerk"})
    raw["actions"].append({"action": "fall", "title": "掉坑", "at": "sum_up", "activity": "handled", "to": ["pit"]})


def a_dead_end_but_for_termination(raw: Raw) -> None:
    a_dead_end(raw)
    raw["actions"].append({"action": "stop", "title": "终止", "phases": ["received"], "role": "head", "effect": "terminate", "activity": "terminated"})


def a_circle_without_way_out(raw: Raw) -> None:
    raw["actions"] = [a for a in raw["actions"] if a["action"] != "finish"]
    raw["actions"].append({"action": "again", "title": "重来", "at": "sum_up", "activity": "handled", "to": ["left", "right"]})


def an_action_that_never_happens(raw: Raw) -> None:
    raw["actions"].append({"action": "close", "title": "归档", "at": "left", "effect": "close", "activity": "delivered"})


def a_step_opened_again(raw: Raw) -> None:
    raw["actions"].append({"action": "poke", "title": "捅一下", "at": "left", "activity": "handled", "to": ["right", "sum_up"]})


def a_branch_that_waits_at_the_end(raw: Raw) -> None:
    raw["actions"].append(action(raw, "finish") | {"action": "hasten", "title": "抢先办结", "at": "right"})
    raw["actions"].remove(action(raw, "do_right"))


def a_join_that_waits_for_what_never_comes(raw: Raw) -> None:
    action(raw, "ask")["to"] = ["left"]


def a_role_nobody_holds(raw: Raw) -> None:
    step(raw, "left")["role"] = "wizard"


@pytest.mark.parametrize(
    ("spoil", "names"),
    [
        (an_unreachable_step, "环节“孤岛”永远走不到"),
        (a_dead_end, "办到“坑”之后走不到任何结局"),
        (a_dead_end_but_for_termination, "办到“坑”之后走不到任何结局"),
        (a_circle_without_way_out, "走不到任何结局"),
        (an_action_that_never_happens, "动作“归档”永远不会发生"),
        (a_step_opened_again, "“捅一下”会再次打开"),
        (a_branch_that_waits_at_the_end, "动作“抢先办结”永远不会发生"),
        (a_join_that_waits_for_what_never_comes, "环节“乙办”永远走不到"),
        (a_role_nobody_holds, "角色“wizard”没有人担任"),
    ],
)
def test_a_process_that_cannot_be_run_is_refused(spoil: Callable[[Raw], None], names: str, tmp_path: Path) -> None:
    raw = copy(INTERNAL)
    spoil(raw)
    assert names in said(write(tmp_path, raw))


def change(name: str, **values: Any) -> Callable[[Raw], None]:
    return lambda raw: action(raw, name).update(values)


def top(**values: Any) -> Callable[[Raw], None]:
    return lambda raw: raw.update(values)


@pytest.mark.parametrize(
    ("spoil", "names"),
    [
        (change("do_left", activity="danced"), "“danced”不在 L.activity"),
        (change("finish", outcomes=["splendid"]), "“splendid”不在 L.outcome"),
        (change("finish", outcomes=["withdrawn"]), "各有自己的 effect"),
        (change("finish", outcomes=[]), "outcomes"),
        (change("do_left", effect="explode"), "取值不在允许的范围内"),
        (change("do_left", activity="accepted"), "只能与同义的 effect"),
        (change("ask", activity="handled"), "activity 须为 received"),
        (change("do_left", to=["nowhere"]), "没有这些环节：nowhere"),
        (change("do_left", at=None), "at 或 phases"),
        (change("do_left", at=None, phases=["received"]), "没有 role"),
        (change("finish", at=None, phases=["received"], role="clerk"), "须写 at"),
        (change("do_left", colour="red"), "actions.2.colour：没有这一项"),
        (change("do_left", keeps_step="perhaps"), "true 或 false"),
        (top(version="two"), "version：应为整数"),
        (top(version=0), "数值太小"),
        (top(start="nowhere"), "没有这些环节"),
        (top(channels=["77"]), "没有这些渠道：77"),
        (top(process="Big One"), "小写字母"),
        (top(steps=[]), "至少要有一项"),
        (top(kind="private"), "取值不在允许的范围内"),
        (top(rules={"accept_within": 5}), "内部流程没有法定时限"),
        (top(kind="public"), "须为 5"),
        (top(rules={"accept_within": None, "special": ["holiday"]}), "“holiday”不在 L.special_kind"),
        (top(rules={"accept_within": None, "silence": "granted"}), "silence"),
        (top(rules={"accept_within": None, "correction": {}}), "rules.correction 需要"),
        (top(rules={"accept_within": None, "commitment": True}), "rules.commitment 需要"),
        (lambda raw: raw["steps"].append(raw["steps"][0]), "环节重复：ask"),
        (lambda raw: raw["actions"].append(raw["actions"][0]), "动作重复：ask"),
        (lambda raw: raw.pop("title"), "title：缺少这一项"),
    ],
)  # fmt: skip
def test_a_definition_that_is_not_well_written_is_refused(spoil: Callable[[Raw], None], names: str, tmp_path: Path) -> None:
    raw = copy(INTERNAL)
    spoil(raw)
    assert names in said(write(tmp_path, raw))


def of_licence(**changes: Any) -> Raw:
    raw: Raw = shipped()["licence"].model_dump(mode="json")
    return raw | changes


@pytest.mark.parametrize(
    ("spoil", "names"),
    [
        (lambda raw: raw["rules"].update(extension="none"), "rules.extension 没有写"),
        (lambda raw: raw["rules"].update(tolerance=None), "rules.tolerance 没有写"),
        (lambda raw: raw["rules"].update(commitment=False), "rules.commitment 没有写"),
        (lambda raw: raw["rules"].update(accept_within=7), "须为 5"),
        (lambda raw: action(raw, "extend").update(role="clerk"), "延长须由负责人批准"),
        (lambda raw: action(raw, "grant").update(role="applicant"), "动作 grant：申请人只能提交"),
        (lambda raw: [step.update(role="applicant") for step in raw["steps"]], "不能受理或作出决定"),
        (lambda raw: raw["steps"][-1].update(within={"length": 10**9}), "within"),
        (lambda raw: action(raw, "resume").update(at="handling", phases=[]), "须写 phases"),
        (lambda raw: action(raw, "withdraw").update(to=["issue"]), "不能写 to"),
        (lambda raw: raw["actions"].append(action(raw, "accept") | {"action": "nod"}), "受理的动作只能有一个"),
        (lambda raw: action(raw, "accept").update(to=["pre_review"]), "环节“承办”永远走不到"),
    ],
)  # fmt: skip
def test_a_licence_that_is_not_the_laws_is_refused(spoil: Callable[[Raw], None], names: str, tmp_path: Path) -> None:
    raw = copy(of_licence())
    spoil(raw)
    assert names in said(write(tmp_path, raw))


def test_silence_that_leaves_a_case_nowhere_to_go_is_refused(tmp_path: Path) -> None:
    raw = copy(shipped()["on_the_spot"].model_dump(mode="json"))
    raw["actions"].append({"action": "return", "title": "退回", "at": "window", "effect": "return", "activity": "pre_review_returned", "to": ["application"]})
    assert "办到“申请”之后走不到任何结局" in said(write(tmp_path, raw)), "accepted by silence, while the applicant can only hand in again"


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b"process: [unclosed\nstart: x", "不是合法的 YAML"),
        (b"a: 1\nb: {c: 1,\n  c: 2}", "第 2 行的键重复"),
        (b"a: 1\n\tb: 2", "第 2 行不是合法的 YAML"),
        ("process: 许可".encode("gbk"), "不是 UTF-8"),
        (b"", "应为键值"),
        (b"- a\n- b", "应为键值"),
        (b"!!python/object/apply:os.system ['true']", "不是合法的 YAML"),
    ],
)
def test_a_file_that_is_no_yaml_is_refused(content: bytes, names: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.yml"
    path.write_bytes(content)
    assert names in said(path)


def test_the_example_in_the_docs_runs(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "processes.md").read_text(encoding="utf-8")
    (tmp_path / "permit.yml").write_text(text.split("```yaml\n")[1].split("```")[0], encoding="utf-8")
    assert load(tmp_path / "permit.yml").step("decision").needs == ("fire", "health")


def test_the_newest_version_counts_and_the_same_one_twice_is_refused(tmp_path: Path) -> None:
    write(tmp_path, INTERNAL)
    write(tmp_path, INTERNAL | {"version": 10, "title": "新"}, "a.yml")
    write(tmp_path, INTERNAL | {"version": 9}, "z.yml")
    assert load_all(tmp_path)["small"].version == 10
    write(tmp_path, INTERNAL, "zz.yml")
    with pytest.raises(YiwangError, match="zz.yml.*第 1 版已在另一个文件中定义"):
        load_all(tmp_path)


def test_too_many_ways_are_refused_before_they_are_all_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soundness, "MOST_MARKINGS", 500)
    branches = [f"b{number}" for number in range(30)]  # 2 to the 30th markings
    raw = copy(INTERNAL)
    raw["steps"] = [raw["steps"][0], *({"step": b, "title": b, "role": "handler"} for b in branches), {"step": "sum_up", "title": "汇总", "role": "reviewer", "needs": branches}]
    raw["actions"] = [
        raw["actions"][0] | {"to": branches},
        *({"action": "do", "title": "办", "at": b, "activity": "handled", "to": ["sum_up"]} for b in branches),
        raw["actions"][-1],
    ]
    assert faults(Process.model_validate(raw), ROLES) == ["流程的走法超过 500 种，过于复杂"]
