"""``python -m bench [pipeline|api|postgres] [options]``: one bench, or all of them one after the other."""

import subprocess
import sys

from bench import pipeline


def main(arguments: list[str]) -> int:
    """Run what is asked for; the exit code."""
    name, options = (arguments[0], arguments[1:]) if arguments else ("all", [])
    if name not in ("pipeline", "api", "postgres", "all"):
        sys.stderr.write("用法：python -m bench [pipeline|api|postgres] [选项]\n")
        return 2
    codes = []
    if name in ("pipeline", "all"):
        codes.append(pipeline.main(options))
    if name in ("api", "all"):
        # a process of its own: its clients and servers must not share this one's memory
        codes.append(subprocess.run([sys.executable, "-m", "bench.api", *options], check=False).returncode)  # noqa: S603 - our own module
    if name in ("postgres", "all"):
        codes.append(subprocess.run([sys.executable, "-m", "bench.postgres", *options], check=False).returncode)  # noqa: S603 - our own module
    return max(codes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
