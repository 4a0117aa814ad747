"""Checks of what the home holds: warehouse, version, key, last run, snapshot, freshness, calendar."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb

from models.domain.calendar import work_calendar
from models.domain.errors import YiwangError
from models.store.snapshots import SnapshotStore
from pipelines.upkeep.doctor.types import Look, Says
from pipelines.upkeep.freshness import AHEAD, ahead, freshness, words
from pipelines.upkeep.home import VERSION, key_digest, noted, version_of
from pipelines.warehouse.damage import is_damaged

CALENDAR_DAYS = 60
"""Days before the end of the published work calendar from which the doctor says so."""

READ_THROUGH = 1 << 30
"""Bytes that the doctor reads through by itself (some 10 s)."""


@contextmanager
def opened(look: Look) -> Iterator[duckdb.DuckDBPyConnection]:
    """The warehouse, read only."""
    with duckdb.connect(str(look.settings.warehouse), read_only=True, config={"autoinstall_known_extensions": False}) as connection:
        yield connection


def warehouse(look: Look) -> Iterator[Says]:
    """The warehouse can be opened, and this DuckDB wrote it or can write it."""
    if not look.settings.warehouse.is_file():
        yield "ok", "还没有工作文件，第一次运行会建立"
        return
    try:
        with opened(look) as connection:
            format = dict(connection.execute("SELECT tags FROM duckdb_databases() WHERE database_name = current_database()").fetchall()[0][0])
            size, used, total = connection.execute("SELECT block_size * total_blocks, used_blocks, total_blocks FROM pragma_database_size()").fetchall()[0]
    except duckdb.Error as error:
        yield _why_closed(look, str(error))
        return
    said = f"工作文件 {size / 2**20:.0f} MiB，存储版本 {format.get('storage_version', '？')}，DuckDB {duckdb.__version__}"
    if total and size > 64 << 20 and used < total / 2:
        yield "warn", f"{said}，其中 {1 - used / total:.0%} 是空闲块", "执行 yiwang tidy 可以压缩它。"
    else:
        yield "ok", said


def _why_closed(look: Look, error: str) -> Says:
    path = look.settings.warehouse
    if "Could not set lock" in error:
        return "error", f"工作文件 {path} 正被其他程序打开", "请关闭那个程序（例如打开着它的 DuckDB 客户端）。"
    if "Permission denied" in error:
        return "error", f"没有权限打开工作文件 {path}", "请让运行用户可读写。"
    if "version number" in error:
        return "error", f"工作文件的存储版本高于本机 DuckDB {duckdb.__version__}", "请按 constraints.txt 升级 duckdb。"
    return "error", f"工作文件 {path} 已损坏", "请恢复备份；或删除它后再次运行，数据会从数据源重新读取。"


def version(look: Look) -> Iterator[Says]:
    """The home is one that this program can use."""
    if not look.settings.warehouse.is_file():
        yield "ok", f"新目录，版本将为 {VERSION}"
        return
    with opened(look) as connection:
        found = version_of(connection)
    if found is not None and found > VERSION:
        yield "error", YiwangError("YW-RUN-008", found=found, known=VERSION).message
    elif found is not None and found < VERSION:
        yield "warn", f"数据目录版本为 {found}，本程序为 {VERSION}", "下一次运行会自动升级；升级前请先备份数据目录。"
    else:
        yield "ok", f"数据目录版本 {VERSION}"


def digest_key(look: Look) -> Iterator[Says]:
    """The key of identifier digests is there and is the one that was used before."""
    settings = look.settings
    if settings.digest_key is None and not (settings.home / "digest.key").is_file():
        if settings.warehouse.is_file():
            yield "error", "证件摘要密钥不见了：没有 YIWANG_DIGEST_KEY，也没有 digest.key", "请恢复原来的密钥；重新生成会让同一人变成两人。"
        else:
            yield "ok", "还没有证件摘要密钥，第一次运行会生成"
        return
    before = None
    if settings.warehouse.is_file():
        with opened(look) as connection:
            before = noted(connection, "digest_key")
    with duckdb.connect() as scratch:
        present = key_digest(settings, scratch)
    if before is not None and before != present:
        yield "error", YiwangError("YW-RUN-009", path=settings.warehouse).message
    elif settings.digest_key is None:
        yield "warn", "证件摘要密钥取自数据目录中的 digest.key", "正式环境请用环境变量 YIWANG_DIGEST_KEY 提供，并另行备份。"
    else:
        yield "ok", "证件摘要密钥与此前一致" if before else "证件摘要密钥已设置"


def last_run(look: Look) -> Iterator[Says]:
    """How the last run ended."""
    row = None
    if look.settings.warehouse.is_file():
        with opened(look) as connection:
            if version_of(connection) is not None:
                row = connection.execute("SELECT run_id, state, detail FROM ops.run ORDER BY run_seq DESC LIMIT 1").fetchone()
    if row is None:
        yield "ok", "还没有运行过"
    elif row[1] == "running":
        yield "warn", f"上一次运行 {row[0]} 被中断", "再次运行即可续跑，数据不会丢失或重复。"
    elif row[1] == "failed":
        yield "error", f"上一次运行 {row[0]} 失败：{row[2] or '原因不明'}", "请按提示改正后再次运行。"
    else:
        yield "ok", f"上一次运行 {row[0]} 正常结束"


def snapshot(look: Look) -> Iterator[Says]:
    """What is published can be read as the pointer says."""
    store = SnapshotStore(look.settings)
    try:
        kept, sound = store.kept(), store.is_sound()
    finally:
        store.close()
    if not kept and not any(look.settings.snapshots.glob("*")):
        yield "warn", "还没有已发布的快照", "请执行 yiwang run。"
    elif not kept:
        yield "error", "已发布的快照都无法读取", "请恢复备份，或执行 yiwang run 重新发布。"
    elif not sound:
        yield "error", f"快照指针或当前快照已损坏，暂以 {kept[0].run_id} 代替", "请执行 yiwang run 重新发布。"
    elif kept[0].as_of > look.now + AHEAD:
        yield "warn", ahead(kept[0].as_of, look.settings), "如非模拟数据，请检查本机时钟与来源的更新时间（updated_at），或在 sources.yml 中写明 as_of。"
    else:
        yield "ok", f"快照 {kept[0].run_id}，数据截至 {kept[0].as_of.astimezone(ZoneInfo(look.settings.zone)):%Y-%m-%d %H:%M}"


def blocks(look: Look) -> Iterator[Says]:
    """Every block of the working files and of the snapshot in service is what was written."""
    store = SnapshotStore(look.settings)
    try:
        kept = store.kept()
    finally:
        store.close()
    remedies: dict[Path, tuple[str, str]] = {}
    if look.holder is None:  # a run writes its working files
        remedies[look.settings.warehouse] = "工作文件", "请恢复备份；或删除它后再次运行，数据会从数据源重新读取，来源已没有的记录和历史不再有。"
        remedies[look.settings.marts] = "加工结果", "请删除它后再次运行，它会重新生成；已发布的数据不受影响。"
    remedies |= {snapshot.path: ("快照", "请恢复备份；或删除它后再次运行，会重新发布。") for snapshot in kept[:1]}
    there = [path for path in remedies if path.is_file() and (path != look.settings.warehouse or look.can_open)]
    size = sum(path.stat().st_size for path in there)
    if size > READ_THROUGH and not look.is_deep:
        yield "ok", f"工作文件与快照共 {size / 2**30:.1f} GiB，未逐块读取（yiwang doctor --deep 会读）"
        return
    wrong = False
    for path in there:
        what, remedy = remedies[path]
        try:
            if is_damaged(path, look.settings):
                wrong = True
                yield "error", f"{what} {path} 已损坏", remedy
        except duckdb.Error as error:
            wrong = True
            yield "warn", f"{what} {path} 打不开，未逐块读取：{str(error).splitlines()[0]}", "请关闭打开着它的程序，并检查权限和 duckdb 的版本。"
    if not wrong:
        yield "ok", f"工作文件与快照的 {size / 2**20:.0f} MiB 逐块读过，没有损坏"


def freshness_of_sources(look: Look) -> Iterator[Says]:
    """Sources bring new records in time: by their limit, else by the published verdict and by habit up to today."""
    try:
        judged = freshness(look.settings, look.now, look.sources)
    except YiwangError as error:
        if error.code == "YW-STORE-007":
            yield "warn", "已发布的快照由另一版本的程序生成，无法判断数据源是否及时", "请执行 yiwang run 重新发布。"
        else:
            yield "ok", f"无法判断数据源是否及时：{error.message}"
        return
    late = [one for one in judged if one.is_stale or one.overdue]
    for one in late:
        if one.is_stale:
            yield "warn", f"数据源“{one.source}”的 {one.subject} 未按时更新：{one.reason}", "请联系数据源的负责人。"
        elif one.age:
            yield (
                "warn", f"数据源“{one.source}”的 {one.subject} 最新记录距今 {words(one.age)}，以往不会这么久没有记录",
                "请确认它是否已停止更新；要据此告警，请在 sources.yml 中给它写 fresh_within，或设置 YIWANG_FRESH_WITHIN_HOURS。",
            )  # fmt: skip
    if not late:
        yield "ok", f"{len(judged)} 项数据源中没有逾期未更新的"


def calendar(look: Look) -> Iterator[Says]:
    """The published work calendar reaches far enough: deadlines beyond it are only provisional."""
    until: date = work_calendar().published_until
    left = (until - look.now.astimezone(ZoneInfo(look.settings.zone)).date()).days
    remedy = "国务院办公厅公布下一年放假安排后，请升级 chinesecalendar：pip install -U chinesecalendar。"
    if left < 0:
        yield "error", f"工作日历只公布到 {until}，已经过期，之后的期限无法确定", remedy
    elif left < CALENDAR_DAYS:
        yield "warn", f"工作日历公布到 {until}，还剩 {left} 天", remedy
    else:
        yield "ok", f"工作日历公布到 {until}，还剩 {left} 天"


def clock(look: Look) -> Iterator[Says]:
    """The machine's clock is not behind what the home already holds."""
    row = None
    if look.settings.warehouse.is_file():
        with opened(look) as connection:
            if version_of(connection) is not None:
                row = connection.execute("SELECT epoch(max(started_at)) FROM ops.run").fetchone()
    if row and row[0] and row[0] > look.now.astimezone(UTC).timestamp() + 60:
        yield "warn", "本机时钟早于上一次运行的开始时刻", "请校准时钟（NTP）；运行编号不受影响，但保留期限会算错。"
    else:
        yield "ok", "时钟正常"
