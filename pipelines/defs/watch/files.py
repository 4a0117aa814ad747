"""What the file sensor goes by: which files the sources have, and whether somebody is still writing them.

Only names, sizes and times are looked at; whether content has changed is for the sync to find out.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.snapshots import SnapshotStore
from pipelines.sources.files import DataFile, list_files
from pipelines.sources.kinds.file import FileSource
from pipelines.sources.service import SourceFile, lock_holder


@dataclass(frozen=True)
class Seen:
    """The sensor's memory between two looks.

    Attributes:
        state: Fingerprint of the files as last seen.
        since: Seconds since 1970 at which they were first seen like this.
        done: Fingerprint for which the last run was asked.
        key: Key of that run; keys are chained, so that files that return to an earlier state are a new run.
    """

    state: str = ""
    since: float = 0
    done: str = ""
    key: str = ""

    @classmethod
    def from_cursor(cls, cursor: str | None) -> "Seen":
        """From :meth:`to_cursor`; nothing seen where it is damaged or of another program."""
        try:
            return cls(**json.loads(cursor)) if cursor else cls()
        except (ValueError, TypeError):
            return cls()

    def to_cursor(self) -> str:
        """As text."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Decision:
    """What the sensor does.

    Attributes:
        seen: Its memory from now on.
        run_key: Key of the run to ask for, None for none.
        reason: Why none is asked for, in Chinese.
    """

    seen: Seen
    run_key: str | None = None
    reason: str = ""


def decide(settings: Settings, source_file: SourceFile, seen: Seen, now: float) -> Decision:
    """Whether the files of the sources ask for a run.

    They do when they differ from those of the last run asked for, have stayed as they are for the settings' ``quiet_seconds``, and no
    run is at work. On the first look only files that are younger than the published snapshot count as new.

    Args:
        settings: Home and quiet time.
        source_file: The sources; those that are no files are not looked at.
        seen: The sensor's memory.
        now: Seconds since 1970.
    """
    files = _files(source_file)
    state = hashlib.blake2b(repr([(file.path, file.size, file.mtime_ns) for file in files]).encode(), digest_size=12).hexdigest()
    if state != seen.state:
        seen = replace(seen, state=state, since=now)
    if not seen.done and _are_published(settings, files):
        return Decision(replace(seen, done=state), reason="文件都在上次发布之前")
    if state == seen.done:
        return Decision(seen, reason="文件没有变化")
    if now - seen.since < settings.quiet_seconds:
        return Decision(seen, reason=f"文件刚有变化，等待 {settings.quiet_seconds} 秒不再变化")
    if (pid := lock_holder(settings)) is not None:
        return Decision(seen, reason=f"进程 {pid} 正在运行")
    key = hashlib.blake2b(f"{seen.key}/{state}".encode(), digest_size=12).hexdigest()
    return Decision(replace(seen, done=state, key=key), run_key=key)


def _files(source_file: SourceFile) -> list[DataFile]:
    found: dict[str, DataFile] = {}
    for source in source_file.sources:
        if isinstance(source, FileSource):
            try:
                found |= {str(file.path): file for file in list_files(source_file, source)}
            except YiwangError:  # none there (yet): the run would say so every time
                continue
    return [found[path] for path in sorted(found)]


def _are_published(settings: Settings, files: list[DataFile]) -> bool:
    store = SnapshotStore(settings)
    current = store.current()
    store.close()
    return current is not None and all(file.mtime_ns / 1e9 < current.published_at.timestamp() for file in files)
