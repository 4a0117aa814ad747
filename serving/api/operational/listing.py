"""Shapes that several resources share: rows as they are shown, a page of a list, a reason, a removal."""

from typing import Any, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from serving.api.operational.calls import LongText, Strict

Row = TypeVar("Row", bound=BaseModel)


class Shown(BaseModel):
    """A row as clients see it: its columns of these names."""

    model_config = ConfigDict(from_attributes=True)

    @classmethod
    def of(cls, row: Any) -> Self:
        """Of a row or a value of a service."""
        return cls.model_validate(row)


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
