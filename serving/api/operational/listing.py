"""The shape of a page of a list."""

from typing import Generic, TypeVar

from pydantic import BaseModel, Field

Row = TypeVar("Row", bound=BaseModel)


class Listed(BaseModel, Generic[Row]):
    """列表的一页。"""

    items: list[Row] = Field(description="本页各行")
    next: str | None = Field(description="下一页的游标；最后一页为空")
