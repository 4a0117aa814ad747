"""The door to the dbt project.

dbt finds the warehouse through environment variables (``dbt/profiles.yml``) and the run through its variables.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from models.domain.errors import YiwangError
from models.domain.settings import Settings


def project_dir() -> Path:
    """Folder of the dbt project: inside the package when installed from a wheel, else the checkout's ``dbt/``."""
    packaged = Path(str(files("pipelines"))) / "warehouse" / "dbt"
    return packaged if packaged.is_dir() else Path(str(files("pipelines"))).parent / "dbt"


def target_dir(settings: Settings) -> Path:
    """Where dbt keeps what it compiles."""
    return settings.work.resolve() / "dbt_target"


def environment(settings: Settings) -> dict[str, str]:
    """Environment variables that ``profiles.yml`` reads, and that keep dbt off the network and out of its own folder."""
    work = settings.work.resolve()
    return {
        "YIWANG_WAREHOUSE": str(settings.warehouse.resolve()),
        "YIWANG_MASKED": str(settings.marts.resolve()),
        "YIWANG_DUCKDB_TMP": str(work / "duckdb_tmp"),
        "YIWANG_THREADS": str(settings.threads),
        "YIWANG_MEMORY_LIMIT": settings.memory_limit,
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DBT_TARGET_PATH": str(target_dir(settings)),
        "DBT_LOG_PATH": str(settings.home.resolve() / "logs"),
        "DO_NOT_TRACK": "1",
    }


def variables(settings: Settings, run_id: str, run_seq: int, as_of: datetime) -> str:
    """The run's dbt variables as JSON."""
    return json.dumps({"as_of": as_of.isoformat(), "zone": settings.zone, "run_id": run_id, "run_seq": run_seq})


def executable() -> str:
    """The ``dbt`` command of this Python environment."""
    beside = Path(sys.executable).with_name("dbt")
    return str(beside) if beside.exists() else shutil.which("dbt") or "dbt"


def manifest(settings: Settings) -> Path:
    """The project's manifest, parsed again only when a file of the project changed.

    Raises:
        YiwangError: YW-RUN-002 when dbt cannot parse the project.
    """
    made, stamp = target_dir(settings) / "manifest.json", target_dir(settings) / "manifest.stamp"
    fingerprint = _fingerprint(project_dir())
    if made.is_file() and stamp.is_file() and stamp.read_text() == fingerprint:
        return made
    made.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(  # noqa: S603 - our own dbt, no input of a user
        [executable(), "--quiet", "parse", "--project-dir", str(project_dir()), "--profiles-dir", str(project_dir())],
        env={**os.environ, **environment(settings)}, capture_output=True, text=True, check=False,
    )
    if done.returncode:
        raise YiwangError("YW-RUN-002", step="dbt parse", detail=_last_line(done.stdout + done.stderr))
    stamp.write_text(fingerprint)
    return made


def load_manifest(settings: Settings) -> dict[str, Any]:
    """The manifest's content."""
    content: dict[str, Any] = json.loads(manifest(settings).read_bytes())
    return content


def rules_fingerprint() -> str:
    """What the figures depend on beside the data: dbt project, quality rules, indicator systems, and the code itself."""
    rooms = [Path(str(files(room))) for room in ("models", "quality", "pipelines")]
    return _fingerprint(project_dir(), *rooms)


def _fingerprint(*folders: Path) -> str:
    digest = hashlib.sha256()
    for folder in folders:
        digest.update(str(folder).encode())
        for path in sorted(p for p in folder.rglob("*") if p.suffix in {".sql", ".yml", ".csv", ".py", ".html", ".css"}):
            digest.update(str(path.relative_to(folder)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "dbt"
