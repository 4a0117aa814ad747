"""What is said about processes."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from models.core.processes.definition import Process
from serving.api.operational.calls import Code, PageParameters, Strict

_EXAMPLE: dict[str, Any] = {
    "process": "certificate_copy", "version": 1, "title": "证照副本（即办）", "start": "application",
    "steps": [{"step": "application", "title": "申请", "role": "applicant"}, {"step": "decision", "title": "办理", "role": "clerk"}],
    "actions": [
        {"action": "submit", "title": "提交申请", "at": "application", "effect": "submit", "activity": "received", "to": ["decision"]},
        {"action": "decide", "title": "办结", "at": "decision", "effect": "complete", "activity": "completed", "outcomes": ["granted", "denied"]},
    ],
}  # fmt: skip


class ProcessSummary(BaseModel):
    """流程的一个版本。"""

    process: str = Field(description="流程代码", examples=["licence"])
    number: int = Field(description="版本号", examples=[1])
    title: str = Field(description="名称", examples=["行政许可（一般程序）"])
    kind: str = Field(description="public 对外办件，internal 内部流程", examples=["public"])
    published_at: str = Field(description="发布时刻", examples=["2026-06-30T01:00:00+00:00"])


class ProcessDetail(ProcessSummary):
    """流程的一个版本及其定义。"""

    body: dict[str, Any] = Field(description="定义：环节、动作、时限规则（docs/processes.md）")


class ProcessParameters(PageParameters):
    """流程列表的条件。"""

    process: Code | None = Field(None, description="流程代码")
    kind: Literal["public", "internal"] | None = Field(None, description="种类")


class NewProcess(Strict):
    """要发布的流程版本。"""

    model_config = ConfigDict(json_schema_extra={"example": {"definition": _EXAMPLE}})

    definition: Process = Field(description="定义；已发布的版本不能改动，改动即新的版本号")
