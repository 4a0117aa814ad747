"""What happens that a system may be told of."""

from collections.abc import Sequence

from models.domain.errors import YiwangError

TOPICS = {
    "case.moved": "办件有进展", "case.removed": "草稿已删除", "review.given": "有新的评价", "review.excluded": "评价不计入", "complaint.filed": "有新的投诉",
    "appointment.booked": "已预约", "appointment.called": "已叫号", "appointment.served": "预约已办", "appointment.missed": "预约过号",
    "appointment.cancelled": "预约已取消", "matter.published": "事项已发布", "notice.published": "公告已发布", "calendar.decided": "工作日已调整",
}  # fmt: skip
"""Topic → Chinese name."""


def checked_topics(wanted: Sequence[str]) -> list[str]:
    """Topics in order, each once; none: all.

    Raises:
        YiwangError: YW-WEBHOOK-004 for one that nothing is ever announced under.
    """
    if unknown := sorted(set(wanted) - TOPICS.keys()):
        raise YiwangError("YW-WEBHOOK-004", topics="、".join(unknown), known="、".join(TOPICS))
    return sorted(set(wanted))
