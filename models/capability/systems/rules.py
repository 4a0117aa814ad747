"""How an indicator's values become points, as data: the rules of a system file. What does not belong here: arithmetic."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Number = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


class Part(BaseModel):
    """A part of a system file: unknown keys are refused, nothing changes once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Outliers(Part):
    """What is done to the values of an indicator whose distribution has outliers.

    An indicator has outliers when |skewness| and excess kurtosis of its values are both above their limits.

    Attributes:
        method: ``winsorise``: the most extreme values take the next one, one by one, up to ``points``; ``log`` and
            ``boxcox`` transform; ``none`` leaves all as it is.
        points: Most values that are winsorised.
        then: What is done instead where winsorising all ``points`` did not suffice.
        skewness: Limit of the absolute skewness.
        kurtosis: Limit of the excess kurtosis.
    """

    method: Literal["none", "winsorise", "log", "boxcox"] = "none"
    points: int = Field(5, ge=1)
    then: Literal["log", "boxcox"] | None = None
    skewness: Number = 2.0
    kurtosis: Number = 3.5

    @model_validator(mode="after")
    def _fits(self) -> "Outliers":
        _only(self, {"winsorise": ("points", "then")}, ("skewness", "kurtosis"))
        return self


class Missing(Part):
    """What stands for a value that is missing.

    Attributes:
        method: ``redistribute``: nothing, its weight is shared out among the node's other indicators; ``mean``,
            ``median``: of the units of the period; ``group_mean``: of the units with the same value of the column
            ``group``; ``previous``: the unit's last value before; ``constant``: ``value``; ``refuse``: the table is refused.
        group: Column of the table, for ``group_mean``.
        value: Value in the indicator's unit, for ``constant``.
    """

    method: Literal["redistribute", "mean", "median", "group_mean", "previous", "constant", "refuse"] = "redistribute"
    group: str | None = Field(None, min_length=1)
    value: Number | None = None

    @model_validator(mode="after")
    def _fits(self) -> "Missing":
        _only(self, {"group_mean": ("group",), "constant": ("value",)}, ())
        _needs(self, {"group_mean": ("group",), "constant": ("value",)})
        return self


class Step(Part):
    """Points from a value upwards.

    Attributes:
        start: Smallest value, key ``from``; none: all values below the other steps.
        points: 0 to 100.
    """

    start: Number | None = Field(None, alias="from")
    points: float = Field(ge=0, le=100)


class Normalisation(Part):
    """How values become points.

    Attributes:
        method: ``share``: 100 × the share, within 0 and 100; ``minmax``: from the worst to the best value; ``zscore``:
            distance from the mean in standard deviations; ``rank``: place among the units; ``target``: from the worst
            value to the target, no more beyond it; ``steps``: points of the step on which the value lies.
        low: Lower bound in the indicator's unit, for ``minmax``, and ``target`` where higher is better; the data's when absent.
        high: Upper bound, for ``minmax``, and ``target`` where lower is better; the data's when absent.
        points: Points of the worst and of the best, for ``minmax``, ``rank`` and ``target``. A geometric or harmonic mean
            needs more than 0.
        mean: Points of the mean, for ``zscore``.
        deviation: Points of one standard deviation, for ``zscore``.
        steps: Ascending, for ``steps``.
    """

    method: Literal["share", "minmax", "zscore", "rank", "target", "steps"]
    low: Number | None = None
    high: Number | None = None
    points: tuple[Number, Number] = (0, 100)
    mean: Number = 50
    deviation: float = Field(10, gt=0, allow_inf_nan=False)
    steps: tuple[Step, ...] = ()

    @property
    def is_relative(self) -> bool:
        """Whether a unit's points depend on the values of other units."""
        return self.method in ("zscore", "rank") or (self.method == "minmax" and None in (self.low, self.high)) or (
            self.method == "target" and self.low is None and self.high is None
        )

    @model_validator(mode="after")
    def _fits(self) -> "Normalisation":
        bounds = ("low", "high", "points")
        _only(self, {"minmax": bounds, "target": bounds, "rank": ("points",), "zscore": ("mean", "deviation"), "steps": ("steps",)}, ())
        _needs(self, {"steps": ("steps",)})
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError("low 应小于 high")
        if self.points[0] >= self.points[1]:
            raise ValueError("points 的第一个数应小于第二个")
        starts = [step.start for step in self.steps]
        if self.steps and (None in starts[1:] or any(b <= a for a, b in zip(starts, starts[1:], strict=False) if a is not None and b is not None)):
            raise ValueError("steps 的 from 应由小到大，只有第一档可以不写")
        return self


def _only(part: BaseModel, belongs: dict[str, tuple[str, ...]], always: tuple[str, ...]) -> None:
    """Refuses a key that the method does not read: it would be believed to count."""
    method = getattr(part, "method", "")
    allowed = {"method", *always, *belongs.get(method, ())}
    if idle := sorted(part.model_fields_set - allowed):
        raise ValueError(f"方法 {method} 不用 {'、'.join(idle)}")


def _needs(part: BaseModel, needed: dict[str, tuple[str, ...]]) -> None:
    method = getattr(part, "method", "")
    if absent := [name for name in needed.get(method, ()) if getattr(part, name) in (None, ())]:
        raise ValueError(f"方法 {method} 还须写明 {'、'.join(absent)}")
