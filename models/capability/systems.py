"""Indicator systems as data: what is measured, how it counts, where a weight comes from.

A system is a YAML file, one of ``systems/`` or a city's own. What does not belong here: arithmetic.
"""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.domain.errors import YiwangError

Code = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]


class Indicator(BaseModel):
    """An indicator: a measure of ``marts.mart_department_day`` and how it becomes points.

    Attributes:
        code: Code within the system.
        name: Chinese name that people see.
        measure_code: The measure that it reads.
        formula: The measure's formula in Chinese words.
        weight: Share of the total, in the same unit for all indicators of the system.
        weight_source: ``assumed`` by the platform until the city decides, or ``decided`` by it.
        direction: Whether a higher or a lower value is better.
        normalisation: How a value becomes 0–100 points; ``share``: 100 × the share.
        minimum_denominator: Smallest monthly denominator that gives a value; below it there is none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: Code
    name: str = Field(min_length=1)
    measure_code: Code
    formula: str = Field(min_length=1)
    weight: float = Field(gt=0, allow_inf_nan=False)
    weight_source: Literal["assumed", "decided"]
    direction: Literal["higher", "lower"]
    normalisation: Literal["share"] = "share"
    minimum_denominator: float = Field(1, gt=0, allow_inf_nan=False)


class System(BaseModel):
    """An indicator system.

    Attributes:
        system_code: Key of the system in ``marts.score_*``.
        name: Chinese name that people see.
        year: Edition.
        label: What people must read beside every figure: 自评 where nobody else assessed.
        minimum_indicators: Fewest indicators with a value with which a department is ranked: one judged by three
            indicators is not compared with one judged by ten.
        indicators: At least one, codes and measures unique.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    system_code: Code
    name: str = Field(min_length=1)
    year: int = Field(ge=2000, le=2100)
    label: str = Field(min_length=1)
    minimum_indicators: int = Field(1, ge=1)
    indicators: tuple[Indicator, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _unique(self) -> "System":
        for name in ("code", "measure_code", "name"):
            values = [getattr(indicator, name) for indicator in self.indicators]
            if repeated := sorted({value for value in values if values.count(value) > 1}):
                raise ValueError(f"indicators 的 {name} 重复：{'、'.join(repeated)}")
        return self


def load_system(source: Path | str) -> System:
    """Reads an indicator system.

    Args:
        source: A YAML file, or the code of a shipped system (``routine``).

    Raises:
        YiwangError: YW-SCORE-001 with the file and the place in it.
    """
    path: Path | Traversable = source if isinstance(source, Path) else files("models.capability") / "systems" / f"{source}.yml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return System.model_validate(content)
    except FileNotFoundError as error:
        raise YiwangError("YW-SCORE-001", path=path, detail="文件不存在") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "文件"
        raise YiwangError("YW-SCORE-001", path=path, detail=f"{where}：{first['msg']}") from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise YiwangError("YW-SCORE-001", path=path, detail=" ".join(str(error).split())) from error
