"""Checks of the home's files: rights, sources, key, lock, leftovers, alerts that wait."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from models.domain.errors import YiwangError
from pipelines.alerts.outbox import Outbox
from pipelines.sources.files import list_files
from pipelines.sources.kinds.file import FileSource
from pipelines.sources.service import load_sources
from pipelines.upkeep.doctor.types import Look, Says

PRIVATE_FILES = ("digest.key", "session.key", "work/warehouse.duckdb")


def home(look: Look) -> Iterator[Says]:
    """The home is there and can be written."""
    folder = look.settings.home
    if not folder.exists():
        yield "warn", f"数据目录 {folder} 还不存在", "请先执行 yiwang sample，或建好目录并放入 sources.yml。"
        return
    if not folder.is_dir():
        yield "error", f"数据目录 {folder} 是一个文件，不是目录", "请用 --home 或 YIWANG_HOME 指定一个目录。"
        return
    closed = [path for path in (folder, look.settings.work, look.settings.snapshots, folder / "logs") if path.exists() and not can_write(path)]
    if closed:
        yield "error", f"没有写入权限：{'、'.join(map(str, closed))}", f"请用 chown 或 chmod 让运行用户（uid {os.geteuid()}）可写。"
    else:
        yield "ok", f"数据目录 {folder} 可写"


def can_write(path: Path) -> bool:
    """Whether this user may write there; root is held to the mode as well, so that a service account's trouble shows."""
    mode, owner = path.stat().st_mode, path.stat().st_uid
    return os.access(path, os.W_OK) and (owner != os.geteuid() or bool(mode & 0o200))


def private(look: Look) -> Iterator[Says]:
    """What holds personal data in clear, or keys, can be read by its owner only."""
    folder = look.settings.home
    wrong = [f"chmod 600 {path}" for path in (folder / name for name in PRIVATE_FILES) if path.is_file() and path.stat().st_mode & 0o077]
    if look.settings.work.is_dir() and look.settings.work.stat().st_mode & 0o077:
        wrong.append(f"chmod 700 {look.settings.work}")
    if wrong:
        yield "error", "含明文个人信息或密钥的文件可被他人读取", f"请执行 {'；'.join(wrong)}。"
    else:
        yield "ok", "密钥与工作文件只有本用户可读"


def sources(look: Look) -> Iterator[Says]:
    """The source configuration is valid, and every file source has files that can be read."""
    try:
        file = load_sources(look.sources)
    except YiwangError as error:
        yield "error", error.message
        return
    wrong = 0
    for source in file.sources:
        if isinstance(source, FileSource):
            try:
                if closed := [found.shown for found in list_files(file, source) if not os.access(found.path, os.R_OK) or not found.path.stat().st_mode & 0o444]:
                    wrong += 1
                    yield "error", f"数据源“{source.name}”的文件 {closed[0]} 等 {len(closed)} 个没有读取权限", "请让运行用户可读。"
            except YiwangError as error:
                wrong += 1
                yield "error", error.message
    if not wrong:
        yield "ok", f"数据源配置有效，共 {len(file.sources)} 项"


def lock(look: Look) -> Iterator[Says]:
    """Whether a run is at work, and which process it is."""
    path = look.settings.home / "run.lock"
    try:
        path.open("rb").close()
    except FileNotFoundError:
        pass
    except OSError as error:
        yield "error", f"锁文件 {path} 打不开（{error.strerror}），无法运行", "请删除它，或让运行用户可读写；它应是一个普通文件，由程序自己建立。"
        return
    if look.holder is None:
        yield "ok", "没有正在进行的运行"
        return
    try:
        process = psutil.Process(int(look.holder))
        hours = (time.time() - process.create_time()) / 3600
        name = Path(process.cmdline()[0]).name if process.cmdline() else process.name()
    except (ValueError, psutil.Error):
        yield "warn", f"数据目录被占用，但本机看不到进程 {look.holder}", "它可能在另一台机器或另一个容器里；请确认没有两处共用同一目录。"
        return
    if hours > 24:
        yield "warn", f"进程 {look.holder}（{name}）已占用数据目录 {hours:.0f} 小时", f"如已停滞，请结束该进程（kill {look.holder}）；下一次运行会接着做完。"
    else:
        yield "ok", f"进程 {look.holder}（{name}）正在运行，已 {hours * 60:.0f} 分钟"


def leftovers(look: Look) -> Iterator[Says]:
    """Nothing is left of runs that were killed, other than what the next one takes up."""
    if look.holder is not None:
        yield "ok", "运行进行中，未检查遗留文件"
        return
    work, snapshots = look.settings.work, look.settings.snapshots
    packages = list((work / "dlt").glob("*__*"))
    others = [*(work / "duckdb_tmp").glob("*"), *work.glob("*.compact*"), *snapshots.glob("*.tmp*")]
    if packages or others:
        yield "warn", f"有中断的运行留下的装载包 {len(packages)} 个、临时文件 {len(others)} 个", "再次运行会接着处理；也可执行 yiwang tidy 清理。"
    else:
        yield "ok", "没有遗留的装载包和临时文件"


def alerts(look: Look) -> Iterator[Says]:
    """Alerts reach their receiver."""
    pending, amiss = len(list(Outbox(look.settings).pending())), Outbox(look.settings).amiss()
    if look.settings.alert_webhook is None:
        yield "ok", "未设置告警地址（YIWANG_ALERT_WEBHOOK）"
    elif pending:
        yield "warn", f"有 {pending} 条告警没有送达", "请检查告警地址与接收方；下一次运行会重新投递。"
    elif look.settings.alert_secret is None:
        yield "warn", "告警没有签名", "请设置 YIWANG_ALERT_SECRET，让接收方能辨别真伪。"
    else:
        yield "ok", "告警均已送达" + (f"，尚未恢复 {len(amiss)} 项" if amiss else "")


def store_keys(look: Look) -> Iterator[Says]:
    """An operational store that several hosts share has its keys from the environment: each host would make its own."""
    settings = look.settings
    missing = [f"YIWANG_{name.upper()}" for name in ("keys", "audit_keys") if getattr(settings, name) is None]
    if settings.database_url is None:
        yield "ok", "业务数据库为数据目录中的 SQLite 文件"
    elif missing:
        yield (
            "warn", f"设置了 YIWANG_DATABASE_URL，却没有 {'、'.join(missing)}：每台主机各用自己数据目录中的密钥，彼此读不出、验不了",
            "请在所有主机的环境变量中设置同样的密钥（已有数据时，取现用主机上 encryption.key、audit.key 中的值）。",
        )  # fmt: skip
    else:
        yield "ok", "业务数据库的密钥来自环境变量"
