"""A PostgreSQL server of the tests' own: Debian's programs, an empty cluster in a temporary folder.

Start it with :func:`running`, or take the fixture ``postgres`` (``tests/conftest.py``): one server a session, each test
its own database. The server refuses to run as root: then it runs as the user ``postgres``.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

USER = "postgres"
PASSWORD = "correct horse"  # noqa: S105 - of a server that lives as long as a test


def programs() -> Path | None:
    """Folder of ``initdb`` and ``pg_ctl``, the newest version's; None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    return Path(path).parent if (path := shutil.which("initdb")) else None


def missing() -> str | None:
    """Why no server can be started; None where one can."""
    if programs() is None:
        return "PostgreSQL is not installed (scripts/setup_test_machine.sh installs it)"
    if os.geteuid() == 0 and not (shutil.which("setpriv") and _has_user()):
        return "PostgreSQL refuses to run as root, and there is no user postgres"
    return None


@dataclass
class Server:
    """A running cluster.

    Attributes:
        folder: Cluster and socket.
        port: Its port, on the socket and on 127.0.0.1; passwords are asked for on the latter.
    """

    folder: Path
    port: int
    _databases: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """SQLAlchemy URL of the maintenance database, as superuser over the socket."""
        return self.url_of("postgres")

    def url_of(self, database: str, user: str = USER) -> str:
        """SQLAlchemy URL over the socket, without password."""
        return f"postgresql://{user}@/{database}?host={self.folder}&port={self.port}"

    def connect(self, database: str = "postgres", user: str = USER, autocommit: bool = True) -> psycopg.Connection[Any]:
        """A connection over the socket."""
        return psycopg.connect(self.url_of(database, user), autocommit=autocommit)

    def create(self) -> str:
        """An empty database; its name."""
        name = f"t{uuid.uuid4().hex[:12]}"
        with self.connect() as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return name

    def drop(self, database: str) -> None:
        """Remove a database, whoever is connected."""
        with self.connect() as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def restart(self) -> None:
        """Restart at once, as after a crash of the machine."""
        self._control("restart", "-m", "immediate", "-w", "-l", str(self.folder / "log"))

    def start(self) -> None:
        """Start."""
        self._control("start", "-w", "-l", str(self.folder / "log"))

    def stop(self) -> None:
        """Stop at once."""
        self._control("stop", "-m", "immediate", "-w")

    def _control(self, *arguments: str) -> None:
        folder = programs()
        assert folder is not None
        _as_postgres(self.folder, str(folder / "pg_ctl"), "-D", str(self.folder / "data"), *arguments)


@contextmanager
def running() -> Iterator[Server]:
    """A server that stops at the end."""
    bin_folder = programs()
    assert bin_folder is not None
    with tempfile.TemporaryDirectory(prefix="yw-pg-") as text:  # short: a socket's path may have 107 characters
        folder = Path(text)
        if os.geteuid() == 0:
            shutil.chown(folder, USER, USER)
        secret = folder / "secret"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        data = folder / "data"
        _as_postgres(
            folder, str(bin_folder / "initdb"), "-D", str(data), "-U", USER, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
            "--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={secret}",
        )  # fmt: skip
        server = Server(folder, _free_port())
        settings = {
            "listen_addresses": "'127.0.0.1'", "port": server.port, "unix_socket_directories": f"'{folder}'", "fsync": "off", "full_page_writes": "off",
            "shared_buffers": "'64MB'", "max_prepared_transactions": 5, "max_connections": 40, "autovacuum": "off", "max_wal_size": "'256MB'",
        }  # fmt: skip
        with (data / "postgresql.conf").open("a") as file:
            file.writelines(f"{key} = {value}\n" for key, value in settings.items())
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _as_postgres(folder: Path, *command: str) -> None:
    change = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"] if os.geteuid() == 0 else []
    done = subprocess.run([*change, *command], cwd=folder, env={"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C"}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stdout}")


def _has_user() -> bool:
    import pwd

    try:
        pwd.getpwnam(USER)
    except KeyError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
