"""The wheel holds all that a run needs: installed elsewhere, without the checkout, it runs the whole pipeline."""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from pipelines.sample.service import write_sample

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_run_from_an_installed_wheel(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(tmp_path), str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("yiwang-*.whl")
    installed = tmp_path / "installed"
    subprocess.run([*pip, "install", "--no-deps", "--target", str(installed), str(wheel)], check=True)
    home = tmp_path / "home"
    write_sample(home, cases=1000, until=date(2026, 6, 30))
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    where = [sys.executable, "-c", "from pipelines.warehouse.service import project_dir; print(project_dir())"]
    found = subprocess.run(where, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()).is_relative_to(installed)
    command = [sys.executable, "-c", "from serving.cli.main import main; main()", "run", "--home", str(home)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (home / "reports" / "latest.html").is_file()
