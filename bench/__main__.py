"""``python -m bench [pipeline|api|postgres|rest|quality|operational|growth|capability|detection] [options]``: one bench, or all but the two long ones one after the other."""

import subprocess
import sys

from bench import pipeline


def main(arguments: list[str]) -> int:
    """Run what is asked for; the exit code."""
    name, options = (arguments[0], arguments[1:]) if arguments else ("all", [])
    if name not in ("pipeline", "api", "postgres", "rest", "quality", "operational", "growth", "capability", "detection", "all"):
        sys.stderr.write("用法：python -m bench [pipeline|api|postgres|rest|quality|operational|growth|capability|detection] [选项]\n")
        return 2
    codes = []
    if name in ("pipeline", "all"):
        codes.append(pipeline.main(options))
    for other in ("api", "postgres", "rest", "quality", "operational", "growth", "capability", "detection"):
        # a process of its own: its clients and servers must not share this one's memory
        if name == other or (name == "all" and other not in ("operational", "growth")):
            codes.append(subprocess.run([sys.executable, "-m", f"bench.{other}", *options], check=False).returncode)  # noqa: S603 - our own modules
    return max(codes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
