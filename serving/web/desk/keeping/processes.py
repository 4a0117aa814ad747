"""Matters and the processes that handle them: read, and published by form or as text."""

import json
import math
from collections.abc import Mapping
from typing import Any

import yaml

from models.core.cases import versions
from models.core.matters import service as matters
from models.core.matters.service import NewVersion
from models.core.processes.definition import PHASES, Process
from models.core.processes.service import parse
from models.core.work.service import Work
from models.domain.clock import Limits
from models.domain.codes import code_tables, label
from models.domain.errors import YiwangError
from models.store.operational.paging import MOST_LIMIT, Paging
from models.store.operational.tables import MatterVersion
from serving.web.desk.common import Visit
from serving.web.desk.keeping.types import (
    UNIT,
    Area,
    Field,
    Form,
    Link,
    Seen,
    Text,
    Told,
    Values,
    column,
    day,
    roles,
    unit,
    whole,
)
from serving.web.desk.picture import picture

_NO, _MOST_TEXT, _DEFINITION = {"": "（不填）"}, 60_000, "流程定义"
_YES = {"": "否", "1": "是"}
KINDS = {"public": "对外办件", "internal": "内部流程"}


def _units_of_time() -> dict[str, str]:
    return dict(code_tables()["L.limit_unit"])


_VERSION = (
    Field("name", "名称", most=200), Field("unit_code", "办理单位", "unit"), Field("process", "流程", "process", help="从已发布的流程中选择"),
    Field("effective_from", "生效日期", "date", help="前一版同日失效；已收的办件仍按收件时的版本办理"),
    Field("type_code", "事项类型", "choice", lambda: _NO | code_tables()["A.1"], is_needed=False),
    Field("promised_limit", "承诺时限", "number", is_needed=False), Field("promised_limit_unit", "承诺时限的单位", "choice", _units_of_time),
    Field("statutory_limit", "法定时限", "number", is_needed=False), Field("statutory_limit_unit", "法定时限的单位", "choice", _units_of_time),
    Field("clock_start_code", "时限起算", "choice", lambda: _NO | code_tables()["L.clock_start"], is_needed=False),
    Field("extension_cap", "延长上限（天）", "number", is_needed=False),
    Field("is_joint", "联合办理（行政许可法第四十二条第二款）", "choice", lambda: _YES, is_needed=False),
    Field("is_publication_excluded", "公示不计入时限", "choice", lambda: _YES, is_needed=False),
    Field("is_commitment", "可以告知承诺", "choice", lambda: _YES, is_needed=False),
    Field("channels", "申请渠道（不选为流程允许的全部）", "many", lambda: dict(code_tables()["L.channel"]), is_needed=False),
    Field("region_code", "区划代码", is_needed=False),
    Field("units", "参与单位", "long", is_needed=False, help="每行一个：流程中的分工=机构代码，如 fire=B07；没有分工的流程不填"),
    Field("body", "其他信息", "long", is_needed=False, most=20_000, help="JSON，字段同数据契约 matter（GB/T 39046-2020 表 4），如 {\"result_name\": \"许可证\"}"),
)  # fmt: skip


def _published(now: Work, v: Values, code: str) -> None:
    try:
        body = json.loads(v["body"] or "{}")
    except ValueError as error:
        raise YiwangError("YW-SERVE-005", name="其他信息", detail="不是合法的 JSON") from error
    if not isinstance(body, dict):
        raise YiwangError("YW-SERVE-005", name="其他信息", detail="应为 JSON 对象")
    parts = [line.strip().replace("＝", "=").partition("=") for line in v["units"].splitlines() if line.strip()]
    if any(not (part and code_) for part, _, code_ in parts):
        raise YiwangError("YW-SERVE-005", name="参与单位", detail="每行应为 分工=机构代码")
    promised, statutory = _count(v["promised_limit"]), _count(v["statutory_limit"])
    limits = Limits(
        v["type_code"] or None, promised, v["promised_limit_unit"] if promised is not None else None, statutory, v["statutory_limit_unit"] if statutory is not None else None,
        v["clock_start_code"] or None, v["is_joint"] == "1" or None, _count(v["extension_cap"]), v["is_publication_excluded"] == "1" or None,
    )  # fmt: skip
    matters.publish(now, NewVersion(
        code, v["name"], v["unit_code"], v["process"], day(v["effective_from"]), limits, v["region_code"] or None, v["channels"].split(),
        {part.strip(): code_.strip() for part, _, code_ in parts}, v["is_commitment"] == "1", body,
    ))  # fmt: skip


def _count(typed: str) -> int | None:
    return None if not typed else 0 if typed.strip("0") == "" else whole(typed)


def _filled(row: MatterVersion) -> Values:
    """The newest version, to be changed into the next one."""
    limits = {name: "1" if value is True else "" if value in (None, False) else str(value) for name, value in row.limits.items()}
    return limits | {
        "name": row.name, "unit_code": row.unit_code, "process": row.process, "is_commitment": "1" if row.is_commitment else "", "channels": " ".join(row.channels),
        "region_code": row.region_code or "", "units": "\n".join(f"{part}={code}" for part, code in row.units.items()), "body": _json(row.body) if row.body else "",
    }  # fmt: skip


def _matter(here: Visit, session: Any, key: str) -> Seen:
    all_versions = matters.versions(session, key, Paging(MOST_LIMIT), is_newest_first=True).items
    if not all_versions:
        raise YiwangError("YW-STORE-011", what="事项", key=key)
    newest = all_versions[0]
    row = next((each for each in all_versions if each.effective_from <= here.today and (each.effective_to is None or each.effective_to > here.today)), newest)
    limits: Mapping[str, Any] = row.limits
    return Seen(row.name, [
        ("实施编码", row.code), ("版本", f"第 {row.number} 版，{_span(row)}"), ("办理单位", unit("unit_code")(here, row)), ("流程", _process_link(session, row.process)),
        ("事项类型", label("A.1", limits.get("type_code"))), ("承诺时限", _limit(limits, "promised")), ("法定时限", _limit(limits, "statutory")),
        ("时限起算", label("L.clock_start", limits.get("clock_start_code"))), ("延长上限", limits.get("extension_cap")), ("联合办理", "是" if limits.get("is_joint") else "否"),
        ("公示不计入时限", "是" if limits.get("is_publication_excluded") else "否"), ("告知承诺", "可以" if row.is_commitment else "不可以"),
        ("申请渠道", [label("L.channel", code) for code in row.channels] or "流程允许的全部"), ("区划", row.region_code),
        ("参与单位", [f"{part}：{here.units.get(code, code)}" for part, code in row.units.items()]), ("其他信息", Text(_json(row.body)) if row.body else None),
        ("全部版本", [f"第 {each.number} 版：{each.name}，{_span(each)}" for each in all_versions]),
    ], newest)  # fmt: skip


def _span(row: MatterVersion) -> str:
    return f"自 {row.effective_from} 起" + (f"，至 {row.effective_to}（不含）" if row.effective_to else "")


def _limit(limits: Mapping[str, Any], which: str) -> str | None:
    length = limits.get(f"{which}_limit")
    return None if length is None else f"{length} 个{label('L.limit_unit', limits.get(f'{which}_limit_unit') or 'wd')}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def _process_link(session: Any, code: str) -> Link | str:
    numbers = versions.numbers(session, code)
    return Link(versions.names(session).get(code, code), f"/desk/keep/processes/{code}/{numbers[0]}") if numbers else code


def _process(here: Visit, session: Any, key: str) -> Seen:
    code, _, number = key.rpartition("/")
    row = versions.get(session, code, int(number))
    body = Process.model_validate(row.body)
    titles, steps = roles(), {step.step: step.title for step in body.steps}
    rules, actions = body.rules, body.actions

    def told(action: Any) -> str:
        ends = "、".join(steps[step] for step in action.to) if action.to else "本环节继续" if action.keeps_step or not action.at else "结束"
        outcomes = f"（{'、'.join(label('L.outcome', each) for each in action.outcomes)}）" if action.outcomes else ""
        return f"{action.title}{outcomes} → {ends}" + (f"；出具{'、'.join(action.documents)}" if action.documents else "")

    return Seen(f"{body.title} 第 {row.number} 版", [
        ("代码", row.process), ("种类", KINDS.get(row.kind, row.kind)), ("发布", row.published_at),
        ("全部版本", [Link(f"第 {each} 版", f"/desk/keep/processes/{code}/{each}") for each in versions.numbers(session, code)]),
        ("图", picture(body, titles)),
        *((f"环节：{step.title}", [f"由{titles.get(step.role, step.role)}办理" + (f"，限 {step.within.length} 个{label('L.limit_unit', step.within.unit)}" if step.within else "")
                                  + (f"，待{'、'.join(steps[each] for each in step.needs)}都办完后开始" if step.needs else ""), *(told(action) for action in actions if action.at == step.step)])
          for step in body.steps),
        ("随时可以", [f"{action.title}（{titles.get(body.role_of(action), '')}，{'、'.join(PHASES[phase] for phase in action.phases)}）" for action in actions if action.at is None]),
        ("不能由同一人办理", ["、".join(steps[each] for each in group) for group in body.apart]),
        ("规则", [text for text in (
            f"{rules.accept_within} 个工作日内不受理、不告知补正的，视为受理" if rules.accept_within else None,
            "可以补正一次" if rules.correction else None, f"特别程序：{'、'.join(label('L.special_kind', each) for each in rules.special)}" if rules.special else None,
            "可以延长一次" if rules.extension == "once" else None, "逾期未决定视为准予" if rules.silence == "granted" else None,
            f"容缺受理，材料限 {rules.tolerance.within.length} 个{label('L.limit_unit', rules.tolerance.within.unit)}内补齐" if rules.tolerance else None,
            "可以告知承诺" if rules.commitment else None) if text]),
        ("定义", Text(_yaml(body))),
    ], row)  # fmt: skip


def _yaml(body: Process) -> str:
    """As it may be written, changed and published again; a step or an action a line."""
    plain = body.model_dump(mode="json", exclude_defaults=True) | {"rules": body.rules.model_dump(mode="json", exclude_unset=True)}
    return "".join(
        f"{name}:\n" + "".join(f"  - {_line(each)}" for each in value) if name in ("steps", "actions") else f"{name}: {_line(value)}" for name, value in plain.items() if value != {}
    )


def _line(value: Any) -> str:
    return yaml.safe_dump(value, allow_unicode=True, sort_keys=False, default_flow_style=True, width=math.inf).removesuffix("...\n")


def _handed_in(here: Visit, now: Work, v: Values) -> Told | None:
    process = parse(v["definition"], _DEFINITION)
    if v["wanted"] == "check":
        return Told(f"没有发现问题：{process.title}（{process.process}）第 {process.version} 版，{len(process.steps)} 个环节，{len(process.actions)} 个动作。可以发布。", is_kept=True)
    versions.publish_checked(now, process)
    return None


_PUBLISH = (
    Field("wanted", "要做什么", "choice", lambda: {"check": "只检查", "publish": "检查并发布"}),
    Field("definition", "流程定义", "long", most=_MOST_TEXT, help="YAML 或 JSON；写法见 docs/processes.md。已发布的版本不能改动，改动须写新的 version"),
)

AREAS: dict[str, Area] = {
    "matters": Area(
        "事项", "matter:read", lambda here, session, paging, v: matters.listed(
            session, day(v["day"]) if v["day"] else here.today, paging, unit_code=v["unit_code"] or None, name=v["name"] or None, process=v["process"] or None),
        (("事项", column("name")), ("实施编码", column("code")), ("办理单位", unit("unit_code")), ("流程", lambda here, row: here.offered("process").get(row.process, row.process)),
         ("自", column("effective_from")), ("至（不含）", column("effective_to"))),
        lambda row: row.code, (Field("name", "名称中含有", is_needed=False), UNIT, Field("process", "流程", "process", is_needed=False), Field("day", "在这一天有效", "date", is_needed=False)),
        (Form("create", "发布事项", "matter:publish", lambda here, now, v: _published(now, v, v["code"]), (Field("code", "实施编码", most=64), *_VERSION)),),
        (Form("version", "发布新版本", "matter:publish", lambda here, now, v: _published(now, v, v["id"]), _VERSION, fills=_filled),),
        look=_matter,
    ),
    "processes": Area(
        "流程", "process:read", lambda here, session, paging, v: versions.listed(session, paging, process=v["process"] or None, kind=v["kind"] or None),
        (("流程", lambda here, row: f"{row.body['title']} 第 {row.number} 版"), ("代码", column("process")), ("种类", lambda here, row: KINDS.get(row.kind, row.kind)), ("发布", column("published_at"))),
        lambda row: f"{row.process}/{row.number}",
        (Field("process", "流程", "process", is_needed=False), Field("kind", "种类", "choice", lambda: {"": "（不限）"} | KINDS, is_needed=False)),
        (Form("create", "检查和发布流程", "process:publish", _handed_in, _PUBLISH),),
        (Form("version", "修改为新版本", "process:publish", _handed_in, _PUBLISH, fills=lambda row: {"wanted": "check", "definition": _yaml(Process.model_validate(row.body))}),),
        look=_process,
    ),
}  # fmt: skip

