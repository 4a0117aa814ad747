"""What commands say of past days: ``yiwang run --as-of`` of a publication that it repeats, ``yiwang backfill`` of each day."""

from zoneinfo import ZoneInfo

from rich.console import Console

from pipelines.replay.service import DayFile, Reproduction, Verdict


def print_reproduction(out: Console, result: Reproduction, published: bool) -> None:
    """Whether the day made again is what was published, and where it lies."""
    publication, day = result.publication, result.day
    as_of = publication.as_of.astimezone(ZoneInfo(publication.zone))
    out.print(f"按 {day.day} 发布时所知重算：运行 {publication.run.run_id}，数据截至 {as_of:%Y-%m-%d %H:%M}", soft_wrap=True)
    print_verdict(out, day, result.verdict)
    out.print(f"集市：{day.marts}", soft_wrap=True)
    out.print(f"报告：{day.report}", soft_wrap=True)
    if published:
        out.print("已重新发布，作为当前快照。")
    else:
        out.print("当前快照不变；加 --publish 可重新发布，加 --known now 按现在所知计算。")


def print_verdict(out: Console, day: DayFile, verdict: Verdict) -> None:
    """One sentence where all is the same, else what differs and what may explain it."""
    if verdict.is_same:
        out.print(f"与 {day.day} 发布的结果一致（{verdict.marts} 张集市逐列核对）。")
        return
    out.print(f"与 {day.day} 发布的结果不一致，{len(verdict.differences)} 张集市不同：")
    for difference in verdict.differences:
        rows = "现已不再生成" if difference.rows_now is None else f"{difference.rows_then:,} 行，现为 {difference.rows_now:,} 行"
        columns = f"；不同的列：{'、'.join(difference.columns)}" if difference.columns else ""
        out.print(f"  ! {difference.mart}：发布时 {rows}{columns}", soft_wrap=True, markup=False)
    if verdict.reasons:
        out.print(f"  发布后变更过的条件：{'、'.join(verdict.reasons)}。", soft_wrap=True)
    else:
        out.print("  规则与程序、工作日历、时区、数据库版本自发布以来都没有变更，原因不明；以上所列即全部不同之处。", soft_wrap=True)


def print_day(out: Console, day: DayFile, known: str) -> None:
    """A past day that was made from what is known now, and where it lies."""
    why = "" if known == "now" else "（这一天没有可重算的发布）"
    out.print(f"{day.day} 按现在所知计算{why}；没有读取数据源。")
    out.print(f"集市：{day.marts}", soft_wrap=True)
    out.print(f"报告：{day.report}", soft_wrap=True)
    out.print("这一天早于已发布的最近一天，当前快照不变；加 --publish 则读取数据源后计算，并发布为当前快照。", soft_wrap=True)


def print_days(out: Console, days: list[DayFile]) -> None:
    """One line a day."""
    for day in days:
        how = "按现在所知" if day.known == "now" else "按当时所知，与发布结果" + ("一致" if day.is_same else "不一致")
        out.print(f"  {day.day}  {how}  {day.marts}", soft_wrap=True)
