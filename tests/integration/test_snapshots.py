"""Publishing and reading snapshots on a real file system."""

from models.domain.settings import Settings
from models.store.snapshots import SnapshotStore


def test_fixture_has_rows_in_every_mart(snapshot_settings: Settings) -> None:
    store = SnapshotStore(snapshot_settings)
    with store.acquire() as connection:
        tables = [name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        empty = [name for name in tables if connection.execute(f"SELECT count(*) FROM marts.{name}").fetchone() == (0,)]
    assert len(tables) >= 15
    assert empty == []
