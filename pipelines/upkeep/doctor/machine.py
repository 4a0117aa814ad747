"""Checks of the machine: Python, packages, memory, processors, disk."""

import re
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

import psutil
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from pipelines.upkeep.doctor.types import Look, Says

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}
PYTHON = SpecifierSet(">=3.11,<3.13")
LEAST_DISK = 1 << 30
"""Free bytes below which a run of any size is likely to fill the disk."""
RUN_FACTOR = 3
"""Free disk that a run may need, as a multiple of the warehouse: changed marts, load packages, a snapshot."""


def python(look: Look) -> Iterator[Says]:
    """The interpreter is one that the platform runs on."""
    running = ".".join(map(str, sys.version_info[:3]))
    if running in PYTHON:
        yield "ok", f"Python {running}"
    else:
        yield "error", f"Python {running} 不受支持", f"请改用满足 {PYTHON} 的 Python 重新安装。"


def packages(look: Look) -> Iterator[Says]:
    """Every package that the installation asks for is there, in a version that it takes."""
    wrong = []
    needed = [Requirement(text) for text in requires("yiwang") or []]
    needed = [one for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    for one in needed:
        try:
            found = version(one.name)
        except PackageNotFoundError:
            wrong.append(f"{one.name}（未安装）")
            continue
        if not one.specifier.contains(found, prereleases=True):
            wrong.append(f"{one.name} {found}（需要 {one.specifier}）")
    if wrong:
        yield "error", f"软件包不符：{'、'.join(wrong)}", "请在源码目录重新安装：pip install -c constraints.txt -e .（安装包则 pip install --force-reinstall）。"
    else:
        yield "ok", f"yiwang {version('yiwang')}，{len(needed)} 个依赖齐全"


def memory(look: Look) -> Iterator[Says]:
    """The pipelines' memory limit fits into the machine, with room for dbt and Dagster beside it."""
    limit, there = bytes_of(look.settings.memory_limit), psutil.virtual_memory().total
    if limit is None:
        yield "error", f"memory_limit “{look.settings.memory_limit}”无法识别", "请写成 3GB 这样的大小。"
    elif limit > there * 0.8:
        yield "warn", f"memory_limit {look.settings.memory_limit} 接近或超过本机内存 {there / 2**30:.1f} GiB", "请在 yiwang.toml 中调低 memory_limit，超出部分会写到磁盘。"
    else:
        yield "ok", f"内存上限 {look.settings.memory_limit}，本机 {there / 2**30:.1f} GiB"


def processors(look: Look) -> Iterator[Says]:
    """There are not more threads than processors."""
    there = len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else psutil.cpu_count() or 1
    if look.settings.threads > there:
        yield "warn", f"threads 为 {look.settings.threads}，多于可用的 {there} 个处理器核", "请在 yiwang.toml 中调低 threads。"
    else:
        yield "ok", f"线程 {look.settings.threads}，可用处理器核 {there}"


def disk(look: Look) -> Iterator[Says]:
    """The home's disk has room for the next run."""
    home = next(folder for folder in (look.settings.home.resolve(), *look.settings.home.resolve().parents) if folder.exists())
    free = shutil.disk_usage(home).free
    files = (look.settings.warehouse, look.settings.marts)
    needed = max(LEAST_DISK, RUN_FACTOR * sum(path.stat().st_size for path in files if path.is_file()))
    said = f"数据目录所在磁盘剩余 {free / 2**30:.1f} GiB"
    if free < needed / RUN_FACTOR:
        yield "error", f"{said}，不够下一次运行", "请清理磁盘或执行 yiwang tidy。"
    elif free < needed:
        yield "warn", f"{said}，大批数据到来时可能不够", "请清理磁盘或执行 yiwang tidy。"
    else:
        yield "ok", said


def bytes_of(text: str) -> int | None:
    """A size as DuckDB reads it, in bytes; None where it is none."""
    match = re.fullmatch(r"\s*([0-9.]+)\s*([KMGT]?i?)B?\s*", text, re.IGNORECASE)
    try:
        return int(float(match[1]) * _UNITS[match[2].upper()]) if match else None
    except ValueError:
        return None
