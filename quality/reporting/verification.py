"""Tells whether a package is as it was made: signature, digests, counts, no file too many or too few."""

import zipfile
from pathlib import Path

from pydantic import ValidationError

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from quality.reporting import ledger
from quality.reporting.ledger import Folders, Package
from quality.reporting.manifest import MANIFEST, NUMBER, SIGNATURE, Manifest, sm3, sm3_of
from quality.reporting.signing import Signature, is_signed
from quality.reporting.workbook import count_rows

_MOST = 64 << 20
"""Bytes of a manifest at most."""


def read_manifest(package: Path) -> Manifest:
    """The manifest of a package, not verified.

    Raises:
        YiwangError: YW-REPORT-006 where there is none or it is no manifest.
    """
    try:
        return Manifest.model_validate_json(_read(package / MANIFEST))
    except (OSError, ValidationError) as error:
        raise YiwangError("YW-REPORT-006", package=package) from error


def verify(settings: Settings, package: Path, key_file: Path | None = None) -> str | None:
    """What is wrong with a package, as one Chinese sentence; None where all is well.

    Args:
        settings: Where no key file is given, its keys count, and its ledger must have the package if one is at hand.
        package: Folder of the package.
        key_file: Public key (PEM), not from the package.

    Raises:
        YiwangError: YW-REPORT-006 where there is no package, YW-REPORT-009 where there is no key to verify with.
    """
    if not package.is_dir():
        raise YiwangError("YW-REPORT-006", package=package)
    if key_file is not None and key_file.resolve().is_relative_to(package.resolve()):
        raise YiwangError("YW-REPORT-009", detail="公钥不能取自被核验的上报包本身，请从可信渠道取得")
    try:
        content, signed = _read(package / MANIFEST), _read(package / SIGNATURE)
    except OSError as error:
        return f"缺少 {Path(error.filename).name}，或它不是普通文件，包不完整。"
    if (signature := Signature.from_json(signed)) is None:
        return f"{SIGNATURE} 不是签名，包被改动或损坏。"
    if not is_signed(settings, content, signature, key_file):
        return "清单的签名不对：清单被改动，或不是由该密钥签发。"
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError:
        return "清单的签名正确，但格式不是本程序认识的版本，请升级程序后再核验。"
    problem = _name(package, manifest) or _files(package, manifest) or _counts(manifest)
    return problem or (None if key_file else _unrecorded(settings, manifest, sm3(content)))


def later(settings: Settings, manifest: Manifest) -> list[Package] | None:
    """Packages of the subject that were built after one, in order: with any it is an old one that somebody shows again.

    Returns:
        None where no ledger is at hand: there is none, it is being written, or damaged.
    """
    recorded = _recorded(settings, manifest.subject)
    numbers = [package.number for package in recorded or ()]
    return recorded[numbers.index(manifest.package) + 1 :] if recorded and manifest.package in numbers else None


def _recorded(settings: Settings, subject: str) -> list[Package] | None:
    if not Folders.of(settings).ledger.is_file():  # none is made in order to look
        return None
    try:
        with ledger.opened(settings) as connection:
            return ledger.packages(connection, subject)
    except (YiwangError, OSError):  # whether a package is whole can be told without
        return None


def _unrecorded(settings: Settings, manifest: Manifest, digest: str) -> str | None:
    recorded = _recorded(settings, manifest.subject)
    if recorded is None or digest in (package.manifest_sm3 for package in recorded if package.number == manifest.package):
        return None
    return f"签名正确，但不是台账所记的 {manifest.package}：由另一个数据目录建成，或被顶替。"


def _name(package: Path, manifest: Manifest) -> str | None:
    """A folder may have any name, but not that of another package."""
    name = package.resolve().name
    if NUMBER.fullmatch(name) and name != manifest.package:
        return f"目录名是 {name}，里面却是 {manifest.package}，疑为放错了包。"
    return None


def _files(package: Path, manifest: Manifest) -> str | None:
    names = {entry.name for entry in manifest.files}
    there = {path.name for path in package.iterdir()}
    if missing := sorted(names - there):
        return f"缺少文件 {missing[0]}，包不完整。"
    if extra := sorted(there - names - {MANIFEST, SIGNATURE}):
        return f"多出清单没有的文件 {extra[0]}。"
    for entry in manifest.files:
        path = package / entry.name
        if path.is_symlink() or not path.is_file():
            return f"{entry.name} 不是普通文件。"
        if path.stat().st_size != entry.bytes or sm3_of(path) != entry.sm3:
            return f"文件 {entry.name} 的内容与清单不符，被改动或损坏。"
        if (rows := _rows(path)) != entry.rows:
            return f"文件 {entry.name} 有 {rows} 行，清单写的是 {entry.rows} 行。"
    return None


def _counts(manifest: Manifest) -> str | None:
    lines = {suffix: sum(entry.rows for entry in manifest.files if entry.name.endswith(suffix)) for suffix in (".jsonl", ".xlsx")}
    for suffix, rows in lines.items():
        if rows != manifest.lines:
            return f"{suffix} 共 {rows} 行，清单的合计是 {manifest.lines} 行。"
    closing = manifest.reconciliation
    if closing is not None:
        if closing.difference:
            return f"清单的对账差 {closing.difference} 行，没有归零。"
        if closing.held_back != sum(line.first for line in closing.held):
            return "清单中未上报的行数与按规则的合计不等。"
        if closing.in_package != manifest.lines - manifest.counts.get("withdraw", 0):
            return "清单中上报的行数与对账的行数不等。"
    return None


def _rows(path: Path) -> int:
    if path.suffix == ".jsonl":
        with path.open("rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    try:
        return count_rows(path)
    except (zipfile.BadZipFile, KeyError):
        return -1


def _read(path: Path) -> bytes:
    if path.is_symlink() or not path.is_file():
        raise FileNotFoundError(2, "", str(path))
    with path.open("rb") as file:
        return file.read(_MOST)
