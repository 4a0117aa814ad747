"""The 1,621 matters of the sample city, and the arrays that cases are drawn from.

Some 170 are written out in ``tables``: those that most cases belong to, and the 42 of engineering
approval. The rest are made of objects and actions, as real lists are.
"""

import json
from dataclasses import dataclass
from datetime import date
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.domain.contracts import SUBJECTS
from models.domain.schema import arrow_schema
from pipelines.sample.columns import Ints
from pipelines.sample.days import DAY, HOUR, day_number
from pipelines.sample.places import ORIGIN, places, read

TOTAL = 1621
BY_TYPE = {"01": 762, "20": 503, "10": 258, "07": 71, "05": 13, "09": 11, "08": 3}
"""Matters of each type, in the shares of a real county-level list."""
RETIRED_ON = date(2024, 7, 1)
VERSIONED = 49
"""How many matters have been in force in other versions before: 3 %, among those that people ask for."""
POPULAR = 170
"""Errors are planted in matters beyond so many of the most asked for; the versions are among these."""
_CHANGES = (date(2024, 7, 1), date(2025, 1, 1), date(2025, 7, 1), date(2026, 1, 1))
"""Days on which promised limits were shortened."""
_NOTICE = 20
"""Days by which a new version is published before it is in force."""
_ACTIONS = {
    "01": ["新办", "变更", "延续", "注销", "补证", "地址变更", "法定代表人变更", "名称变更"],
    "20": ["查询", "咨询", "预约办理", "打印", "办理指引", "信息更正"],
    "10": ["备案", "变更备案", "注销备案", "年度报告", "信息报送"],
    "07": ["首次办理", "变更", "注销", "换证", "补证"],
}
_AWARDS = {
    "05": ["农机购置补贴发放", "创业补贴发放", "育儿补贴发放", "丧葬补助金发放", "见义勇为抚恤金发放", "公益性岗位补贴发放", "独生子女奖励扶助金发放", "稳岗返还发放"],
    "09": [f"{x}争议裁决" for x in ("土地权属", "林木权属", "水事纠纷", "草场权属", "商标侵权", "企业名称", "专利侵权", "拆迁补偿", "计量", "矿区范围", "海域使用权")],
    "08": ["科学技术奖励", "见义勇为奖励", "质量工作奖励"],
}
_AWARD_DEPARTMENTS = ["农水", "人社", "卫健", "民政", "公安", "自然", "市监", "科工", "住建"]
_MATERIALS = {
    "01": ["申请表", "营业执照", "授权委托书", "场所证明", "管理制度", "人员资格证明", "平面布局图", "承诺书"],
    "20": ["居民身份证", "申请表"],
    "10": ["备案表", "营业执照", "授权委托书", "情况说明"],
    "07": ["申请表", "居民身份证", "证明材料", "授权委托书"],
}
_ISSUERS = {"居民身份证": "公安机关", "居民户口簿": "公安机关", "营业执照": "市场监督管理部门", "不动产权证书": "自然资源主管部门", "低保证": "民政部门", "完税证明": "税务机关", "出生医学证明": "医疗机构"}
_SEASONS = {
    "season12": [1.2, 0.8, 0.9, 0.8, 0.8, 0.8, 0.9, 0.9, 1.0, 1.1, 1.3, 1.9],
    "school": [0.8, 0.7, 0.9, 0.8, 0.9, 1.5, 1.9, 1.9, 1.5, 0.8, 0.7, 0.7],
    "annual": [0.9, 0.9, 1.2, 1.5, 2.0, 2.6, 0.5, 0.4, 0.4, 0.4, 0.4, 0.6],
}


@dataclass
class Matters:
    """The matters as rows of the contract and as arrays, index by index.

    ``rows`` are the newest versions; ``older`` those that they took the place of, some in force to this day of a city that ends
    early. Cases are drawn by the newest. ``limit`` is the promised limit, ``unit`` 0 working days, 1 calendar days, 2 months; ``slack`` the
    working days from the promised to the statutory limit (about); ``certificate`` an index into ``certificates``, −1 for none; ``scene`` 0 ordinary, 1 not on line, 2 engineering,
    3 street; ``cdf`` the chance of each matter by month (12 rows), then the same for rest days.
    """

    rows: list[dict[str, Any]]
    older: list[dict[str, Any]]
    department: Ints
    type_code: Ints
    immediate: npt.NDArray[np.bool_]
    limit: Ints
    unit: Ints
    slack: Ints
    by_receipt: npt.NDArray[np.bool_]
    certificate: Ints
    years: Ints
    two_certificates: npt.NDArray[np.bool_]
    enterprise: npt.NDArray[np.float64]
    scene: Ints
    materials: Ints
    correction: npt.NDArray[np.float64]
    special: npt.NDArray[np.float64]
    publication: npt.NDArray[np.bool_]
    commitment: npt.NDArray[np.bool_]
    fee: npt.NDArray[np.bool_]
    cdf: npt.NDArray[np.float64]
    certificates: list[str]
    share: npt.NDArray[np.float64]

    @property
    def types(self) -> list[str]:
        """What the numbers of ``type_code`` stand for."""
        return list(BY_TYPE)

    def table(self) -> pa.Table:
        """The subject matter."""
        return pa.Table.from_pylist(self.rows + self.older, arrow_schema(SUBJECTS["matter"]))


@cache
def matters() -> Matters:
    """The city's matters; the same for every seed."""
    drafts = _written() + _street()
    drafts += _made(drafts)
    rng = np.random.Generator(np.random.Philox(key=[430199, 1]))
    _give_shares(drafts, rng)
    counters: dict[tuple[int, str], int] = {}
    rows = [_row(draft, counters, rng) for draft in drafts]
    names = sorted({d["certificate"] for d in drafts if d["certificate"]})
    share = np.array([d["share"] for d in drafts])
    older = _older(rows, share)
    flags = [set(d["flags"].split(";")) for d in drafts]
    engineering = np.array([any(f.startswith("eng") for f in fs) for fs in flags])
    immediate = np.array([d["kind"] == "1" for d in drafts])
    pages = np.array([len(d["materials"]) for d in drafts])
    strict = np.array([d["department"] in ("卫健", "市监") for d in drafts])
    department = np.array([d["index"] for d in drafts])
    is_street = department >= places().bureaus
    online = np.array([r["is_online"] for r in rows])
    publication = np.array(["publication" in fs for fs in flags])
    return Matters(
        rows=rows,
        older=older,
        department=department,
        type_code=np.array([list(BY_TYPE).index(d["type"]) for d in drafts]),
        immediate=immediate,
        limit=np.array([int(d["promised"]) for d in drafts]),
        unit=np.array([("wd", "cd", "month").index(d["unit"]) for d in drafts]),
        slack=np.array([(int(d["statutory"]) - int(d["promised"])) // (2 if d["unit"] == "cd" else 1) for d in drafts]),
        by_receipt=np.array(["receipt" in fs for fs in flags]),
        certificate=np.array([names.index(d["certificate"]) if d["certificate"] else -1 for d in drafts]),
        years=np.array([int(d["years"] or 0) for d in drafts]),
        two_certificates=np.array(["twocerts" in fs for fs in flags]),
        enterprise=np.array([{"P": 0.0, "B": 0.5, "E": 1.0}[d["object"]] for d in drafts]),
        scene=np.select([engineering, is_street, ~online], [2, 3, 1], 0),
        materials=pages,
        # Corrections grow with complexity; they are not independent of it.
        correction=np.where(engineering, 0.20, np.where(immediate, 0.028, 0.05) * (0.4 + 0.35 * pages)),
        special=np.where(immediate, 0.0, np.where(publication, 0.6, np.where(["special" in fs for fs in flags], np.where(strict, 0.30, 0.12), 0.0))),
        publication=publication,
        commitment=np.array(["commitment" in fs for fs in flags]),
        fee=np.array([r["is_fee_charged"] for r in rows]),
        cdf=_cdf(share, online, flags),
        certificates=names,
        share=share,
    )


def _written() -> list[dict[str, Any]]:
    index = {d.short: i for i, d in enumerate(places().departments) if d.kind != "street"}
    return [{**row, "index": index[row["department"]], "materials": row["materials"].split(";"), "share": float(row["share"])} for row in read("matters.csv")]


def _street() -> list[dict[str, Any]]:
    first = places().bureaus
    streets = range(first, len(places().departments))
    return [
        {
            **row, "department": "街道", "index": i, "type": "20", "object": "P", "unit": "wd", "statutory": row["statutory"], "certificate": "",
            "years": "", "flags": "street", "materials": row["materials"].split(";"),
            "share": float(row["share"]) / len(streets) * (0.6 + 0.8 * ((i * 7) % 11) / 10),
        }
        for row in read("street_matters.csv")
        for i in streets
    ]


def _made(taken: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Objects times actions, the first action of every object before the second, until each type is full."""
    index = {d.short: i for i, d in enumerate(places().departments) if d.kind != "street"}
    objects: dict[str, list[tuple[str, str]]] = {}
    for row in read("objects.csv"):
        objects.setdefault(row["type"], []).extend((row["department"], o) for o in row["objects"].split(";"))
    drafts: list[dict[str, Any]] = []
    for kind, total in BY_TYPE.items():
        wanted = total - sum(d["type"] == kind for d in taken)
        if kind in _AWARDS:
            names = [(_AWARD_DEPARTMENTS[i % len(_AWARD_DEPARTMENTS)], name) for i, name in enumerate(_AWARDS[kind])]
        else:
            names = [(d, f"{o}（{a}）") for a, (d, o) in product(_ACTIONS[kind], objects[kind])]
        drafts += [
            {
                "name": name, "department": short, "index": index[short], "type": kind, "unit": "wd", "flags": "", "share": None,
                "object": {"01": "E", "10": "E", "07": "B", "09": "B", "08": "B"}.get(kind, "P"),
            }
            for short, name in names[:wanted]
        ]
    return drafts


def _give_shares(drafts: list[dict[str, Any]], rng: np.random.Generator) -> None:
    """What a department's written matters leave of its share goes to its made ones, few much, many nothing."""
    for i, department in enumerate(places().departments):
        written = [d for d in drafts if d["index"] == i and d["share"]]
        # A few matters make most of the cases: the written shares are drawn apart, their sum kept.
        scale = sum(d["share"] for d in written) / max(sum(d["share"] ** 1.3 for d in written), 1e-9)
        for draft in written:
            draft["share"] = draft["share"] ** 1.3 * scale
        own = [d for d in drafts if d["index"] == i and d["share"] is None]
        rest = max(department.share - sum(d["share"] for d in drafts if d["index"] == i and d["share"] is not None), 0.01)
        order = rng.permutation(len(own))
        # Services are asked for far more often than licences.
        pull = {"20": 3.0, "10": 1.0, "05": 2.0, "07": 1.0, "01": 0.7}
        weight = np.array([pull.get(d["type"], 0.02) for d in own]) / (1.0 + order) ** 1.3
        weight[order >= len(own) * 0.5] = 0.0
        for draft, w in zip(own, weight, strict=True):
            draft["share"] = float(rest * w / weight.sum())
            _complete(draft, rng)


def _complete(draft: dict[str, Any], rng: np.random.Generator) -> None:
    immediate = rng.random() < {"01": 0.42, "20": 0.92, "10": 0.78, "07": 0.6}.get(draft["type"], 0.0)
    statutory = int(rng.choice([10, 15, 20, 20, 20, 30, 45]))
    limit = 0 if immediate else max(1, round(statutory * rng.uniform(0.25, 0.65)))
    gives = draft["type"] in ("01", "07") and not draft["name"].endswith("注销）")
    subject = draft["name"].split("（")[0]
    pages = _MATERIALS.get(draft["type"], ["申请表", "居民身份证", "证明材料"])
    draft |= {
        "kind": "1" if immediate else "2", "promised": limit, "statutory": statutory,
        "certificate": (subject if subject.endswith("证") else subject + "证") if gives else "",
        "years": int(rng.choice([0, 1, 3, 5])) if gives else "",
        "materials": pages[: 2 + int(rng.integers(0, max(len(pages) - 1, 1)))],
    }


def _row(draft: dict[str, Any], counters: dict[tuple[int, str], int], rng: np.random.Generator) -> dict[str, Any]:
    department = places().departments[draft["index"]]
    is_street = department.kind == "street"
    key = (draft["index"], draft["type"])
    counters[key] = counters.get(key, 0) + 1
    number = draft["index"] + 1 if not is_street else 80 + (draft["index"] - places().bureaus) % 20
    basic = f"43{draft['type']}{number:02}{counters[key]:03}{1:03}"
    level = "5" if is_street else "4"
    u = rng.random(8)
    popular = draft["share"] > 0.05
    engineering = "eng" in draft["flags"]
    is_online = bool(popular or engineering or u[0] < 0.93)
    retired = draft["share"] == 0 and u[1] < 0.05
    state = "cancelled" if retired else "suspended" if draft["share"] == 0 and u[1] < 0.07 else "active"
    kind = {"P": "1", "E": "2,3,4", "B": "1,2,4"}[draft["object"]]
    return {
        "matter_code": f"{department.code}{level}{basic}", "basic_code": basic, "matter_name": draft["name"], "type_code": draft["type"],
        "legal_basis": f"《{draft['name'].split('（')[0]}管理办法（样例）》", "level_code": level,
        "department_name": department.name, "department_code": department.code,
        "body_nature_code": "3" if is_street and u[2] < 0.3 else "1",
        "statutory_limit": int(draft["statutory"]), "statutory_limit_unit": draft["unit"],
        "promised_limit": int(draft["promised"]), "promised_limit_unit": draft["unit"],
        "acceptance_conditions": "申请人符合法定条件，材料齐全且符合法定形式。", "procedure": "申请—受理—办结" if draft["kind"] == "1" else "申请—受理—承办—审核—批准—办结",
        "result_name": draft["certificate"] or None, "is_fee_charged": bool(u[3] < 0.06), "fee_basis": "样例市行政事业性收费目录" if u[3] < 0.06 else None,
        "service_object_codes": kind, "theme": "工程建设" if engineering else "个人办事" if kind == "1" else "企业办事",
        "handling_form_codes": "1,2,3" if is_online else "1",
        "special_procedures": "公示" if "publication" in draft["flags"] else "现场核查、检验检测" if "special" in draft["flags"] else None,
        "region_code": department.region, "is_bookable": bool(u[4] < 0.7), "is_payable_online": bool(u[3] < 0.06), "is_deliverable": bool(draft["certificate"]) and bool(u[5] < 0.8),
        "is_online": is_online, "service_place": "街道便民服务中心" if is_street else "样例新区政务服务大厅", "service_hours": "工作日 9:00—12:00，13:30—17:00",
        "consultation_phone": f"0731-8888{draft['index']:04}", "supervision_phone": "0731-88889999",
        "materials": _materials(draft["materials"]), "case_kind_code": draft["kind"],
        "trips": 0 if is_online and u[6] < 0.8 else 1 if u[6] < 0.98 else 2, "is_one_window": bool(u[7] < 0.85),
        "has_certificate": bool(draft["certificate"]), "clock_start_code": "receipt" if "receipt" in draft["flags"] else "acceptance",
        "is_joint": "joint" in draft["flags"], "is_publication_excluded": "publication" in draft["flags"] or None,
        "version": f"2024.{1 + counters[key] % 3}", "effective_from": ORIGIN, "effective_to": RETIRED_ON if retired else None,
        "matter_state_code": state, "updated_at": (day_number(RETIRED_ON if retired else ORIGIN) * DAY + 9 * HOUR) - 8 * HOUR,
    }


def _older(rows: list[dict[str, Any]], share: npt.NDArray[np.float64]) -> list[dict[str, Any]]:
    """Earlier versions of some matters; their newest rows become the later versions.

    Promises were longer once: who keeps the newest limit, as the cases do, kept the older ones too.
    """
    popular = np.argsort(-share, kind="stable")[:POPULAR]
    able = [i for i in popular if rows[i]["promised_limit_unit"] == "wd" and 0 < rows[i]["promised_limit"] < rows[i]["statutory_limit"]]
    older = []
    for place, i in enumerate(able[:VERSIONED]):
        row, number = rows[i], 2 + (place % 5 == 4)
        days = [ORIGIN, *_CHANGES[place % 3 :][: number - 1]]
        for step, since in enumerate(days):
            ended = days[step + 1] if step + 1 < number else None
            room = row["statutory_limit"] - row["promised_limit"]
            changes = {
                "version": f"{since.year}.{step + 1}", "effective_from": since,
                # some sources say when a version ends, others leave it to the next one
                "effective_to": ended if place % 2 else None,
                "promised_limit": row["promised_limit"] + min(room, 2 * (number - 1 - step)),
                "updated_at": day_number(since) * DAY + (9 - 8) * HOUR - (_NOTICE * DAY if step else 0),
            }  # fmt: skip
            if ended:
                older.append(row | changes | {"trips": row["trips"] + 1})
        row |= changes
    return older


def _materials(names: list[str]) -> str:
    rows = [
        {
            "name": name, "issuer": _ISSUERS.get(name, "申请人"), "original_copies": 0 if name in _ISSUERS else 1,
            "photocopies": 1 if name in _ISSUERS else 0, "is_required": name != "授权委托书",
        }
        for name in names
    ]
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"))


def _cdf(share: npt.NDArray[np.float64], online: npt.NDArray[np.bool_], flags: list[set[str]]) -> npt.NDArray[np.float64]:
    season = np.array([next((_SEASONS[f] for f in fs if f in _SEASONS), [1.0] * 12) for fs in flags]).T
    by_month = share * season
    both = np.concatenate([by_month, by_month * online])
    total = np.cumsum(both, axis=1)
    return np.asarray(total / total[:, -1:])


