"""What is said about matters."""

import datetime as dt
from typing import Any

from pydantic import ConfigDict, Field

from models.core.matters.service import NewVersion
from models.domain.clock import Limits
from serving.api.operational.calls import Code, Document, Number, PageParameters, Strict, Text
from serving.api.operational.listing import Shown

_EXAMPLE: dict[str, Any] = {
    "code": "11430104MB15000001430117002011", "name": "公共场所卫生许可", "unit_code": "B01", "process": "licence", "effective_from": "2026-07-01",
    "limits": {"type_code": "01", "promised_limit": 10, "promised_limit_unit": "wd", "statutory_limit": 20, "statutory_limit_unit": "wd"},
    "channels": ["1", "2"], "is_commitment": True, "body": {"result_name": "公共场所卫生许可证"},
}  # fmt: skip


class MatterLimits(Strict):
    """事项的时限。"""

    type_code: Code | None = Field(None, description="事项类型（表 A.1）")
    promised_limit: Number | None = Field(None, description="承诺办结时限")
    promised_limit_unit: Code | None = Field(None, description="单位（码表 L.limit_unit）")
    statutory_limit: Number | None = Field(None, description="法定办结时限")
    statutory_limit_unit: Code | None = Field(None, description="单位（码表 L.limit_unit）")
    clock_start_code: Code | None = Field(None, description="时限起算（码表 L.clock_start）")
    is_joint: bool | None = Field(None, description="是否联合办理（行政许可法第四十二条第二款）")
    extension_cap: Number | None = Field(None, description="延长上限")
    is_publication_excluded: bool | None = Field(None, description="公示不计入时限")


class NewMatter(Strict):
    """要发布的事项版本。"""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE})

    code: Code = Field(description="实施编码")
    name: Text = Field(description="名称")
    unit_code: Code = Field(description="办理单位")
    process: Code = Field(description="流程代码")
    effective_from: dt.date = Field(description="生效日期")
    limits: MatterLimits = Field(default_factory=MatterLimits, description="时限")
    region_code: Code | None = Field(None, description="区划代码")
    channels: list[Code] = Field(default_factory=list, max_length=20, description="申请渠道（码表 L.channel）；空为流程允许的全部")
    units: dict[Code, Code] = Field(default_factory=dict, description="参与单位：流程中的分工 → 机构代码")
    is_commitment: bool = Field(False, description="可以告知承诺")
    body: Document = Field(default_factory=dict, description="其他信息，字段同数据契约 matter（GB/T 39046-2020 表 4）")

    def version(self) -> NewVersion:
        """For the service."""
        values = self.model_dump(exclude={"limits"})
        return NewVersion(**values, limits=Limits(**self.limits.model_dump()))


class MatterSummary(Shown):
    """事项的一个版本。"""

    code: str = Field(description="实施编码")
    number: int = Field(description="版本号")
    name: str = Field(description="名称")
    unit_code: str = Field(description="办理单位")
    process: str = Field(description="流程代码")
    effective_from: dt.date = Field(description="生效日期")
    effective_to: dt.date | None = Field(description="失效日期（该日起不再有效）")


class MatterDetail(MatterSummary):
    """事项的一个版本，全文。"""

    region_code: str | None = Field(description="区划代码")
    limits: dict[str, Any] = Field(description="时限")
    channels: list[str] = Field(description="申请渠道")
    units: dict[str, Any] = Field(description="参与单位")
    is_commitment: bool = Field(description="可以告知承诺")
    body: dict[str, Any] = Field(description="其他信息")


class MatterParameters(PageParameters):
    """事项列表的条件。"""

    day: dt.date | None = Field(None, description="在这一天有效的版本；缺省为今天")
    unit_code: Code | None = Field(None, description="办理单位")
    name: Text | None = Field(None, description="名称中含有")
    process: Code | None = Field(None, description="流程")
