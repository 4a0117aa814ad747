"""Staging, intermediate and mart tables: the dbt project, its tests as asset checks."""

import os
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtCliResource, dbt_assets
from packaging.version import Version

from models.domain.settings import Settings
from pipelines.defs.resources import EACH_DAY, OWNERS, Platform, as_of_of, daily, mart
from pipelines.warehouse.books import latest_run
from pipelines.warehouse.service import environment, executable, manifest, project_dir, target_dir, variables
from pipelines.warehouse.touched import note_touched

STAGE = "加工数据仓库"


class Translator(DagsterDbtTranslator):
    """Groups assets by the layer of the dbt project and names their owners."""

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """The folder under ``dbt/models``."""
        return str(dbt_resource_props["fqn"][1]) if len(dbt_resource_props["fqn"]) > 2 else "seeds"

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
        """The data platform's team."""
        return OWNERS


def build(settings: Settings, tests: bool = True) -> dg.AssetsDefinition:
    """The dbt project as assets.

    Args:
        settings: Home.
        tests: Whether dbt's tests run, as checks of the assets.
    """
    left_out = ["unit_test"] if tests else ["unit_test", "test"]

    @dbt_assets(
        manifest=manifest(settings), name="warehouse", partitions_def=daily(settings), backfill_policy=EACH_DAY,
        dagster_dbt_translator=Translator(DagsterDbtTranslatorSettings(enable_asset_checks=tests)),
    )
    def warehouse(context: dg.AssetExecutionContext, dbt: DbtCliResource, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
        run = latest_run(platform.settings)
        as_of = as_of_of(context, platform.settings)
        os.environ.update(environment(platform.settings))
        arguments = ["build", *(f"--exclude-resource-type={kind}" for kind in left_out), "--vars", variables(platform.settings, run.run_id, run.run_seq, as_of)]
        platform.progress.start(STAGE, len(context.selected_asset_keys))
        for event in dbt.cli(arguments, context=context, target_path=target_dir(platform.settings)).stream():
            if isinstance(event, dg.Output | dg.AssetMaterialization):
                platform.progress.advance(STAGE)
            yield event
        for name, touched in note_touched(platform.settings, run).items():
            # an observation: the materialisation is told while dbt still holds the files
            context.log_event(dg.AssetObservation(asset_key=mart(name), partition=context.partition_key, metadata=touched.metadata() | {"run_seq": run.run_seq}))
        platform.progress.finish(STAGE)

    return warehouse


class OwnDbt(DbtCliResource):
    """The ``dbt`` of this environment, without what dagster-dbt asks it for beforehand.

    Its version is known from the package (``dbt --version`` takes two seconds), and nothing here uses dbt's adapter in
    Dagster's process (two and a half).
    """

    @property
    def _cli_version(self) -> Version:
        return Version(version("dbt-core"))

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> None:  # type: ignore[override]  # where it fails there, None is used too
        return None


def dbt_resource() -> DbtCliResource:
    """The ``dbt`` command on our project."""
    return OwnDbt(project_dir=str(project_dir()), profiles_dir=str(project_dir()), dbt_executable=executable())
