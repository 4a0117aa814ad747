"""Reviews whose text says another thing than their level: 态度很差 beside "very satisfied".

The words of either side are learnt from the reviews themselves, each judged by a model that has not seen it, beside a few
words that say it in any city, so that there is something to go by where hardly anybody complains. The texts stay where they are:
what comes out names the review and no word of it.
"""

from typing import Any

import numpy as np
import pyarrow as pa

SURE = 0.8
"""Probability from which on a text is of the other side."""
LEAST_TEXTS = 50
"""Texts below which nothing is learnt."""
FOLDS = 5
SEED = 2.0
"""Weight of a word that says it in any city; a text that comes n times weighs log(1 + n)."""
GOOD = (
    "很满意 非常满意 服务很好 态度好 态度热情 耐心 细心 周到 效率高 办得快 很快 方便 便捷 专业 负责 点赞 感谢 谢谢 表扬 好评 一次办成 流程清楚 讲解清楚 顺利 不用跑 省心"
).split()
BAD = (
    "不满意 很不满意 服务差 态度差 态度恶劣 态度冷淡 不耐烦 推诿 推脱 踢皮球 太慢 效率低 拖延 等太久 等了很久 排队太久 没人管 没人接 不理人 跑了好几趟 多次跑 材料反复 说不清 不清楚 不专业 投诉 差评 失望 "
    "麻烦 繁琐 乱收费 不合理 系统打不开 办不了 超时"
).split()  # fmt: skip
_LEVELS = {"1": "非常满意", "2": "满意", "3": "基本满意", "4": "不满意", "5": "非常不满意"}


def against_level(texts: pa.Table) -> list[dict[str, Any]]:
    """Finds them.

    Args:
        texts: ``source``, ``review_id``, ``department_code``, ``reviewed_on``, ``satisfaction_code``, ``comment``; default reviews left out.

    Returns:
        Rows of ``marts.quality_suspicion``, without run and rank.
    """
    rows = [row for row in texts.to_pylist() if row["satisfaction_code"] in _LEVELS and (row["comment"] or "").strip()]
    if len(rows) < LEAST_TEXTS:
        return []
    # here, since it takes a second to import and most tables have no texts
    from scipy import sparse
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    words = [row["comment"].strip() for row in rows]
    is_bad = np.array([row["satisfaction_code"] in ("4", "5") for row in rows])
    distinct = sorted(set(words))
    number = {text: at for at, text in enumerate(distinct)}
    of = np.array([number[text] for text in words])
    bad, good = np.bincount(of, is_bad, len(distinct)), np.bincount(of, ~is_bad, len(distinct))
    vectors = CountVectorizer(analyzer="char", ngram_range=(1, 3), binary=True).fit([*GOOD, *BAD, *distinct])
    seeds, features = vectors.transform([*GOOD, *BAD]), vectors.transform(distinct)
    sides = np.r_[np.zeros(len(GOOD)), np.ones(len(BAD))]
    belief = np.zeros(len(distinct))
    fold = np.arange(len(distinct)) % FOLDS
    for one in range(min(FOLDS, len(distinct))):
        learnt, judged = np.flatnonzero(fold != one), np.flatnonzero(fold == one)
        # a level that is rare weighs no more than the seeds: it may be the very error that is looked for
        weight = np.r_[np.full(len(sides), SEED), np.log1p(good[learnt]), np.log1p(bad[learnt])]
        side = np.r_[sides, np.zeros(len(learnt)), np.ones(len(learnt))]
        for which in (0, 1):
            weight[side == which] /= weight[side == which].sum() / len(sides)
        model = LogisticRegression(C=1.0, max_iter=200).fit(sparse.vstack([seeds, features[learnt], features[learnt]]), side, sample_weight=weight)
        belief[judged] = model.predict_proba(features[judged])[:, 1]
    found = []
    for row, at in zip(rows, of, strict=True):
        level, p = row["satisfaction_code"], float(belief[at])
        is_of_bad = level in ("4", "5")
        if (p >= SURE and level in ("1", "2")) or (p <= 1 - SURE and is_of_bad):
            side = "不满" if p >= SURE else "称赞"
            sure = max(p, 1 - p)
            found.append(
                {
                    "kind": "text", "table_name": "fct_review", "source": row["source"], "record_key": row["review_id"], "department_code": row["department_code"],
                    "partition_on": row["reviewed_on"], "score": sure, "reason": f"评为“{_LEVELS[level]}”，文字却像{side}（可能性 {sure:.0%}）",
                }
            )  # fmt: skip
    return found
