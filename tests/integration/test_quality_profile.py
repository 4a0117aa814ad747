"""Profile, proposals and suspicions of a real city: the tables are there, the asset fills them, the commands print them."""

import shutil
import subprocess
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest
import yaml

from models.domain.settings import Settings
from models.store.snapshots import SnapshotStore
from pipelines.warehouse.quality_inputs import review_texts
from quality.profile.service import profile
from quality.suspicion.service import suspect
from tests.support.city import YIWANG


@pytest.fixture(scope="module")
def home(city: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The city as a run leaves it that profiles, too."""
    home = tmp_path_factory.mktemp("profiled")
    for part in ("work", "snapshots"):
        shutil.copytree(city / part, home / part)
    settings = Settings(home=home)
    current = SnapshotStore(settings).in_service()
    with duckdb.connect(str(settings.marts), read_only=True) as connection:
        assert connection.execute("SELECT (SELECT count(*) FROM marts.quality_profile), (SELECT count(*) FROM marts.quality_suspicion)").fetchall() == [(0, 0)]
    found = profile(settings.marts, current.run_id, current.as_of)
    assert found is not None and found.tables > 20 and found.columns > 400
    assert profile(settings.marts, current.run_id, current.as_of, every=7) is None, "it is good still"
    suspect(settings.marts, current.run_id, current.as_of, texts=review_texts(settings, current.as_of.date() - timedelta(days=366)))
    SnapshotStore(settings).publish(settings.marts, current.run_id, current.as_of)
    return home


def _say(home: Path, *arguments: str, code: int = 0) -> str:
    done = subprocess.run([YIWANG, "quality", *arguments, "--home", str(home)], capture_output=True, text=True, check=False, env={"COLUMNS": "200", "PATH": "/usr/bin:/bin"})
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr if code else done.stdout


def test_the_commands_print_what_was_found(home: Path) -> None:
    assert "fct_case" in _say(home, "profile")
    said = _say(home, "profile", "fct_case")
    assert "channel_code" in said and "applicant_name_masked" in said
    proposals = yaml.safe_load(_say(home, "suggest", "fct_review").split("\n", 1)[1])
    assert all(entry["table"] == "fct_review" and entry["severity"] == "advises" for entry in proposals)
    with duckdb.connect(str(Settings(home=home).marts), read_only=True) as connection:
        kinds = [row[0] for row in connection.execute("SELECT DISTINCT kind FROM marts.quality_suspicion ORDER BY 1").fetchall()]
    suspicious = _say(home, "suspicions")
    assert all(f"（{kind}）" in suspicious for kind in kinds) if kinds else "没有可疑记录" in suspicious
    assert "没有数据表 nothing" in _say(home, "profile", "nothing", code=2)
    assert "没有数据表 mart_area_day" in _say(home, "suggest", "mart_area_day", code=2)
    assert "没有这一类" in _say(home, "suspicions", "--kind", "nothing", code=2)


def test_no_name_and_no_text_of_anybody_leaves(home: Path) -> None:
    settings = Settings(home=home)
    with duckdb.connect(str(settings.marts), read_only=True) as connection:
        shown = connection.execute("SELECT column_name FROM marts.quality_profile WHERE is_personal AND (frequent IS NOT NULL OR minimum IS NOT NULL OR maximum IS NOT NULL)").fetchall()
        personal = connection.execute("SELECT count(*) FROM marts.quality_profile WHERE is_personal").fetchall()[0][0]
        reasons = " ".join(row[0] for row in connection.execute("SELECT reason FROM marts.quality_suspicion WHERE kind = 'text'").fetchall())
    texts = set(review_texts(settings, date(2020, 1, 1)).column("comment").to_pylist())
    assert shown == [] and personal > 8
    assert texts and not [text for text in texts if text in reasons]
