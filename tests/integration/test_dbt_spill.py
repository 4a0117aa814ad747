"""What does not fit into memory is spilled, by dbt's connection too."""

from collections.abc import Callable
from pathlib import Path

import jinja2
import yaml
from dbt.adapters.duckdb.credentials import DuckDBCredentials
from dbt.adapters.duckdb.environments.local import LocalEnvironment

from models.domain.settings import Settings
from pipelines.warehouse import service


def environment_of(settings: Settings) -> Callable[[str, str], str]:
    values = service.environment(settings)
    return lambda name, default: values.get(name, default)


def test_the_project_goes_on_after_it_has_spilled(tmp_path: Path) -> None:
    """Each model opens a cursor of its own; DuckDB refuses to hear of a spill folder once one is in use."""
    settings = Settings(home=tmp_path, memory_limit="60MB")
    settings.work.mkdir()
    text = jinja2.Template((service.project_dir() / "profiles.yml").read_text()).render(env_var=environment_of(settings))
    environment = LocalEnvironment(DuckDBCredentials.from_dict({"schema": "main", "database": "warehouse"} | yaml.safe_load(text)["yiwang"]["outputs"]["duckdb"]))
    large = "select count(*) from (select row_number() over (order by x) r from (select hash(i) x from range(6000000) t(i))) where r % 2 = 0"
    for _ in range(2):
        cursor = environment.handle().cursor()
        cursor.execute(large)
        assert cursor.fetchall() == [(3_000_000,)]
    assert (settings.work / "duckdb_tmp").is_dir()
    environment.close()
