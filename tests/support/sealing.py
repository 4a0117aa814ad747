"""A process that seals until it is killed: by itself at the nth call of a function, or by the test."""

import os
import signal
import sys
from importlib import import_module
from pathlib import Path

from models.core.audit.service import seal
from models.domain.settings import Settings
from models.store.operational.database import Database
from tests.support.operational import AT, CRYPTO


def main(home: str, path: str, moment: str) -> None:
    """Seal; ``moment`` is ``module.function:n``, or ``random``."""
    database = Database(Settings(home=Path(home)))
    if moment != "random":
        name, _, count = moment.partition(":")
        module, _, function = name.rpartition(".")
        original, left = getattr(import_module(module), function), [int(count)]

        def dying(*arguments: object) -> object:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments)

        setattr(import_module(module), function, dying)
    sys.stdout.write("sealing\n")
    sys.stdout.flush()
    while True:
        seal(database, CRYPTO, Path(path), AT, limit=2)


if __name__ == "__main__":
    main(*sys.argv[1:])
