"""Shapes that several resources share: a page of a list, a reason, a removal."""

from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from serving.api.operational.calls import LongText, Strict

Row = TypeVar("Row", bound=BaseModel)


class Listed(BaseModel, Generic[Row]):
    """列表的一页。"""

    items: list[Row] = Field(description="本页各行")
    next: str | None = Field(description="下一页的游标；最后一页为空")


class Reason(Strict):
    """理由。"""

    model_config = ConfigDict(json_schema_extra={"example": {"reason": "重复提交"}})

    reason: LongText = Field(description="理由")


class Removed(BaseModel):
    """已删除。"""

    id: str = Field(description="标识")
