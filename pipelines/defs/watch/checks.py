"""Whether sources bring new records in time, as Dagster shows it: a check of the snapshot, and freshness policies."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import dagster as dg

from models.domain.contracts import SUBJECTS
from models.domain.errors import YiwangError
from models.domain.settings import Settings
from pipelines.defs.resources import Platform
from pipelines.upkeep.freshness import freshness, stated_limits

CHECK = "sources_are_fresh"
SNAPSHOT = dg.AssetKey("snapshot")


@dg.asset_check(asset=SNAPSHOT, name=CHECK, description="各数据源按规定时间带来新记录")
def sources_are_fresh(platform: dg.ResourceParam[Platform]) -> dg.AssetCheckResult:
    """Judges every source after each publication; between them the sensor does."""
    try:
        passed, metadata = _verdict(platform.settings)
    except YiwangError as error:  # the snapshot stands; only the judgement is missing
        passed, metadata = False, {"reason": error.message}
    return dg.AssetCheckResult(passed=passed, severity=dg.AssetCheckSeverity.WARN, metadata=metadata)


def evaluation(settings: Settings) -> dg.AssetCheckEvaluation:
    """The check's result without a run.

    Raises:
        YiwangError: As :func:`pipelines.upkeep.freshness.freshness`.
    """
    passed, metadata = _verdict(settings)
    return dg.AssetCheckEvaluation(asset_key=SNAPSHOT, check_name=CHECK, passed=passed, severity=dg.AssetCheckSeverity.WARN, metadata=metadata)


def policies(settings: Settings) -> Mapping[dg.AssetKey, dg.FreshnessPolicy]:
    """How often assets must be made anew: raw tables as the strictest of their sources states, else and all others as the settings."""
    whole = timedelta(hours=settings.fresh_within_hours) if settings.fresh_within_hours else None
    stated = stated_limits(settings.home / "sources.yml")
    found = {}
    for subject in SUBJECTS:
        limits = [limit for (_, of), limit in stated.items() if of == subject] or ([whole] if whole else [])
        if limits:
            found[dg.AssetKey(["raw", subject])] = dg.FreshnessPolicy.time_window(fail_window=min(limits))
    published = [*stated.values(), *([whole] if whole else [])]
    if published:
        found |= dict.fromkeys((SNAPSHOT, dg.AssetKey("report")), dg.FreshnessPolicy.time_window(fail_window=min(published)))
    return found


def with_policies(asset: dg.AssetsDefinition, policies: Mapping[dg.AssetKey, dg.FreshnessPolicy]) -> dg.AssetsDefinition:
    """The same assets, those of them that have a policy with it."""
    return asset.map_asset_specs(lambda spec: dg.apply_freshness_policy(spec, policies[spec.key]) if spec.key in policies else spec)


def _verdict(settings: Settings) -> tuple[bool, dict[str, str]]:
    stale = [one for one in freshness(settings, datetime.now(UTC)) if one.is_stale]
    return not stale, {f"{one.source}/{one.subject}": one.reason for one in stale}
