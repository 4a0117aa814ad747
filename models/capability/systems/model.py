"""Indicator systems as data: a tree of indicators, how each counts, and where every weight comes from.

What does not belong here: arithmetic, files.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from models.capability.methods.arrays import Array
from models.capability.methods.weighting import comparison_matrix
from models.capability.systems.rules import Missing, Normalisation, Number, Outliers, Part

Code = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
Name = Annotated[str, Field(min_length=1)]
WeightSource = Literal["assumed", "decided"]
"""``assumed`` by the platform until somebody decides, or ``decided`` by whoever owns the system."""
SUM_TOLERANCE = 1e-6
MOST_INCONSISTENT = 0.1
"""Saaty's limit of the consistency ratio."""


class Indicator(Part):
    """A leaf of the tree: where its value comes from and how the value becomes points.

    Attributes:
        code: Code within the system; in a table the column's name.
        name: Chinese name that people see; in a table the column's other name.
        formula: How the value is made, in Chinese words.
        unit: Unit of the value, e.g. ``%``.
        direction: Whether a higher or a lower value is better.
        measure: Measure of ``marts.mart_department_day`` whose numerator, over its denominator, is the value.
        external: Where the value comes from when it is imported with a table.
        not_measured: Why there is no value yet; such an indicator is listed, has no weight and does not count.
        denominator: What the value is divided by: another measure, whose denominator is taken, or a column of the table.
        scale: Factor of the value after dividing, e.g. 10000 for a figure a ten thousand inhabitants.
        minimum_sample: Smallest denominator that gives a value; below it there is none.
        shrinkage: ``beta_binomial``: shares of few cases are drawn towards the share of all units.
        missing: What stands for a missing value.
        outliers: What is done about outliers.
        normalisation: How values become points.
        target: Value wanted, in the indicator's unit.
        weight: Weight in its node, in one unit with its siblings.
        weight_source: Who set the weight.
    """

    code: Code
    name: Name
    formula: str = ""
    unit: Name
    direction: Literal["higher", "lower"]
    measure: Code | None = None
    external: Name | None = None
    not_measured: Name | None = None
    denominator: Name | None = None
    scale: float = Field(1, gt=0, allow_inf_nan=False)
    minimum_sample: float = Field(1, gt=0, allow_inf_nan=False)
    shrinkage: Literal["none", "beta_binomial"] = "none"
    missing: Missing = Missing()
    outliers: Outliers = Outliers()
    normalisation: Normalisation
    target: Number | None = None
    weight: float | None = Field(None, ge=0, allow_inf_nan=False)
    weight_source: WeightSource

    @property
    def is_divided(self) -> bool:
        """Whether the value is a numerator over a denominator."""
        return self.measure is not None or self.denominator is not None

    @model_validator(mode="after")
    def _consistent(self) -> "Indicator":
        origins = [name for name in ("measure", "external", "not_measured") if getattr(self, name) is not None]
        if len(origins) != 1:
            raise ValueError(f"指标 {self.code} 的 measure、external、not_measured 应恰好写一项")
        if self.not_measured and self.weight:
            raise ValueError(f"指标 {self.code} 未采集，不能有权重")
        if self.normalisation.method == "target" and self.target is None:
            raise ValueError(f"指标 {self.code} 按目标标准化，须写明 target")
        bound = self.normalisation.low if self.direction == "higher" else self.normalisation.high
        if self.normalisation.method == "target" and self.target is not None and bound is not None:
            if (bound >= self.target) == (self.direction == "higher"):
                raise ValueError(f"指标 {self.code} 的 target 应优于最差值 {bound:g}")
        if "log" in (self.outliers.method, self.outliers.then) or "boxcox" in (self.outliers.method, self.outliers.then):
            if self.normalisation.method not in ("minmax", "zscore", "rank") or (self.normalisation.low, self.normalisation.high) != (None, None):
                raise ValueError(f"指标 {self.code} 的值可能取对数，标准化只能用 zscore、rank 或不写界限的 minmax")
        if self.external and self.denominator is None and self.scale != 1:
            raise ValueError(f"指标 {self.code} 没有 denominator，scale 不起作用")
        if self.shrinkage != "none" and (not self.is_divided or self.scale != 1):
            raise ValueError(f"指标 {self.code} 不是分子比分母，不能用 beta_binomial")
        return self


class Comparison(Part):
    """A judgement of an analytic hierarchy process (AHP).

    Attributes:
        better: Code of the more important child.
        than: Code of the less important one.
        by: How many times more important, 1 to 9.
    """

    better: Code
    than: Code
    by: float = Field(ge=1, le=9)


class Node(Part):
    """A node of the tree.

    Attributes:
        code: Code within the system.
        name: Chinese name that people see.
        aggregation: How the children's points become the node's.
        weighting: Where the children's weights come from. ``given``: written at each child, summing to 1 (or 100);
            ``equal``; ``leaves``: the node only groups, every indicator below it weighs as much as it says among all of
            them; ``ahp``: from ``comparisons``; ``entropy``, ``critic``, ``pca``: from the children's points.
        comparisons: Every pair of children once, for ``ahp``.
        weight: Weight in the node above.
        weight_source: Who set the weight.
        children: Indicators and nodes.
    """

    code: Code
    name: Name
    aggregation: Literal["arithmetic", "geometric", "harmonic", "topsis"] = "arithmetic"
    weighting: Literal["given", "equal", "leaves", "ahp", "entropy", "critic", "pca"] = "given"
    comparisons: tuple[Comparison, ...] = ()
    weight: float | None = Field(None, gt=0, allow_inf_nan=False)
    weight_source: WeightSource
    children: tuple["Child", ...] = Field(min_length=1)

    @property
    def scored(self) -> tuple["Node | Indicator", ...]:
        """Children that count: without indicators that are not measured, and without nodes of nothing else."""
        return tuple(child for child in self.children if _counts(child))

    @property
    def judgements(self) -> Array:
        """The comparisons as a reciprocal matrix of the children that count."""
        return comparison_matrix([child.code for child in self.scored], [(c.better, c.than, c.by) for c in self.comparisons])

    @model_validator(mode="after")
    def _consistent(self) -> "Node":
        where = f"{self.code} 下各项的权重"
        given = [child.weight for child in self.scored]
        if self.weighting == "given" and given:
            if absent := [child.code for child in self.scored if child.weight is None]:
                raise ValueError(f"{where}没有写全，缺 {'、'.join(absent)}；不写权重时请用 weighting: equal")
            total = sum(weight for weight in given if weight is not None)
            if min(abs(total - 1), abs(total - 100) / 100) > SUM_TOLERANCE:
                raise ValueError(f"{where}之和为 {total:g}，应为 1 或 100")
        elif self.weighting != "leaves" and any(weight is not None for weight in given):
            raise ValueError(f"{where}由 {self.weighting} 得出，不能再写 weight")
        if self.weighting == "leaves":
            self._check_leaves()
        if bool(self.comparisons) != (self.weighting == "ahp"):
            raise ValueError(f"{self.code} 的 comparisons 与 weighting: ahp 应同时写明")
        if self.weighting == "ahp":
            self._check_comparisons()
        return self

    def _check_leaves(self) -> None:
        if self.aggregation == "topsis":
            raise ValueError(f"{self.code} 用 topsis，不能按下级指标的权重（leaves）")
        for child in self.scored:
            if isinstance(child, Node) and (child.weighting, child.aggregation, child.weight) != ("leaves", self.aggregation, None):
                raise ValueError(f"{child.code} 在按下级指标加权的 {self.code} 之下，应写 weighting: leaves、同样的 aggregation，不写 weight")
        if absent := [leaf.code for leaf in leaves(self) if leaf.weight is None]:
            raise ValueError(f"{self.code} 下各指标的权重没有写全，缺 {'、'.join(absent)}")

    def _check_comparisons(self) -> None:
        codes = {child.code for child in self.scored}
        pairs = [frozenset((c.better, c.than)) for c in self.comparisons]
        wanted = {frozenset((a, b)) for a in codes for b in codes if a < b}
        if set(pairs) != wanted or len(pairs) != len(wanted):
            raise ValueError(f"{self.code} 的 comparisons 应对每两项恰好比较一次")


def _kind(value: Any) -> str:
    has = "children" in value if isinstance(value, dict) else isinstance(value, Node)
    return "node" if has else "indicator"


Child = Annotated[Annotated[Node, Tag("node")] | Annotated[Indicator, Tag("indicator")], Discriminator(_kind)]


class Band(Part):
    """A level of scores that has a name.

    Attributes:
        name: Chinese name that people see.
        over: Scores above this one.
        start: Scores from this one, key ``from``.
    """

    name: Name
    over: Number | None = None
    start: Number | None = Field(None, alias="from")


class Columns(Part):
    """Columns of a table that are no indicators.

    Attributes:
        unit: Code of the unit, which must be there.
        name: Name of the unit; the code when the table has none.
        period: Year or other period; the whole table is one when it has none.
    """

    unit: Name = "unit_code"
    name: Name = "unit_name"
    period: Name = "year"


class System(Node):
    """An indicator system: the root of its tree. ``code`` is called ``system_code`` in a file.

    Attributes:
        year: Edition.
        version: Version of the edition, from 1.
        label: What people must read beside every figure: 自评 where nobody else assessed.
        note: What a reader must know, e.g. whose weights these are.
        minimum_indicators: Fewest indicators with a value with which a unit is ranked: one judged by three indicators
            is not compared with one judged by ten.
        reference: Units among which outliers, relative points and weights from the data are found: those of ``each``
            period, or of ``all`` periods together, so that points of different periods compare.
        bands: Levels, best first; the last one takes the rest.
        columns: Columns of a table that are no indicators.
        defaults: Keys of indicators that hold where an indicator says nothing.
    """

    code: Code = Field(alias="system_code")
    year: int = Field(ge=2000, le=2100)
    version: int = Field(1, ge=1)
    label: Name
    note: str = ""
    minimum_indicators: int = Field(1, ge=1)
    reference: Literal["each", "all"] = "each"
    bands: tuple[Band, ...] = ()
    columns: Columns = Columns()
    defaults: dict[str, Any] = Field(default_factory=dict)

    @property
    def system_code(self) -> str:
        """Key of the system in ``marts.score_*``."""
        return self.code

    @property
    def indicators(self) -> tuple[Indicator, ...]:
        """The indicators that count, in the order of the tree."""
        return tuple(leaves(self))

    @property
    def not_measured(self) -> tuple[Indicator, ...]:
        """The indicators that are listed and do not count."""
        return tuple(part for part in parts(self) if isinstance(part, Indicator) and part.not_measured)

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, content: Any) -> Any:
        """Writes ``defaults`` and ``weight_source`` into the parts that say nothing."""
        if not isinstance(content, dict) or not isinstance(content.get("defaults", {}), dict):
            return content
        source = {"weight_source": content["weight_source"]} if "weight_source" in content else {}
        return content | {"children": _inherited(content.get("children"), source | content.get("defaults", {}), source)}

    @model_validator(mode="after")
    def _whole(self) -> "System":
        everything = list(parts(self))
        for key in ("code", "name"):
            values = [getattr(part, key) for part in everything]
            if repeated := sorted({value for value in values if values.count(value) > 1}):
                raise ValueError(f"{key} 重复：{'、'.join(repeated)}")
        if not self.indicators:
            raise ValueError("没有一项可评的指标")
        if self.weighting == "leaves":
            total = sum(leaf.weight or 0 for leaf in self.indicators)
            if min(abs(total - 1), abs(total - 100) / 100) > SUM_TOLERANCE:
                raise ValueError(f"各指标的权重之和为 {total:g}，应为 1 或 100")
        for band in self.bands[:-1]:
            if (band.over is None) == (band.start is None):
                raise ValueError(f"等级 {band.name} 的 over、from 应恰好写一项")
        if self.bands and (self.bands[-1].over, self.bands[-1].start) != (None, None):
            raise ValueError(f"最后一个等级 {self.bands[-1].name} 包括其余各分，不写 over 或 from")
        limits = [band.start if band.over is None else band.over for band in self.bands[:-1]]
        if any(below is None or above is None or below >= above for above, below in zip(limits, limits[1:], strict=False)):
            raise ValueError("等级应由高到低")
        return self


def _inherited(children: Any, defaults: dict[str, Any], source: dict[str, Any]) -> Any:
    if not isinstance(children, list | tuple):
        return children
    filled = []
    for child in children:
        if isinstance(child, dict) and "children" in child:
            child = source | child | {"children": _inherited(child["children"], defaults, source)}
        elif isinstance(child, dict):
            child = defaults | child
        filled.append(child)
    return filled


def parts(node: Node) -> Iterator[Node | Indicator]:
    """Every part of the tree below and with ``node``, from the top."""
    yield node
    for child in node.children:
        if isinstance(child, Node):
            yield from parts(child)
        else:
            yield child


def leaves(node: Node) -> Iterator[Indicator]:
    """The indicators below a node that count, in the order of the tree."""
    return (part for part in parts(node) if isinstance(part, Indicator) and not part.not_measured)


def nodes(node: Node) -> Iterator[Node]:
    """The nodes that count below and with ``node``, from the top."""
    return (part for part in parts(node) if isinstance(part, Node) and part.scored)


def _counts(child: Node | Indicator) -> bool:
    return any(True for _ in leaves(child)) if isinstance(child, Node) else not child.not_measured
