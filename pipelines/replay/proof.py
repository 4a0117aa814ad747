"""Whether a day made again gives what was published: compared by the digests that were written down at publication."""

from dataclasses import dataclass

from models.domain.settings import Settings
from pipelines.warehouse.publications import MartDigest, Publication, conditions, published_digests

_CONDITIONS = ("规则或程序（dbt 项目、检查规则、指标体系、代码）", "工作日历", "时区", "数据库版本")


@dataclass(frozen=True)
class Difference:
    """A mart that is not what was published.

    Attributes:
        mart: Its name.
        rows_then: Rows as published.
        rows_now: Rows as made again, None when the mart is no longer made.
        columns: Columns whose values differ; empty when only their combination does.
    """

    mart: str
    rows_then: int
    rows_now: int | None
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """What the comparison found.

    Attributes:
        marts: Marts compared.
        differences: Those that differ.
        reasons: Conditions that have changed since the publication, and so may explain the differences.
    """

    marts: int
    differences: tuple[Difference, ...]
    reasons: tuple[str, ...]

    @property
    def is_same(self) -> bool:
        """Every mart is what was published."""
        return not self.differences


def compare(settings: Settings, scratch: Settings, publication: Publication) -> Verdict:
    """Compares what a scratch home made of a publication with what was published.

    Marts and columns that came with a later version of the program are left out.
    """
    then, now = published_digests(settings, publication.run), published_digests(scratch, publication.run)
    found = [_difference(mart, digest, now.get(mart)) for mart, digest in sorted(then.items())]
    was = (publication.rules, publication.calendar, publication.zone, publication.engine)
    changed = [title for title, one, other in zip(_CONDITIONS, was, conditions(scratch), strict=True) if one != other]
    if any(d and d.mart == "mart_sync_run" and d.rows_now is not None and d.rows_now < d.rows_then for d in found):
        changed.append("更早的运行账已按保留期清理")
    return Verdict(len(then), tuple(difference for difference in found if difference), tuple(changed))


def _difference(mart: str, then: MartDigest, now: MartDigest | None) -> Difference | None:
    if now is None:
        return Difference(mart, then.rows, None, ())
    columns = tuple(name for name, digest in then.columns.items() if now.columns.get(name) != digest)
    is_same = then.rows == now.rows and not columns and (then.digest == now.digest or set(then.columns) != set(now.columns))
    return None if is_same else Difference(mart, then.rows, now.rows, columns)
