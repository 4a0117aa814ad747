"""超期预警: the open cases that will probably be late, most probable first, and how good the forecast has been. A page without script."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from models.forecast.service import NAMES
from models.store.forecast import ForecastRepository
from models.store.snapshots import SnapshotStore
from serving.auth.service import WAREHOUSE_READ, require
from serving.web.catalogue import staff_page
from serving.web.templating import Templates

_SIZE = 50
_SIDE, _LEFT, _TOP = 300, 56, 16


@dataclass(frozen=True)
class Reliability:
    """The reliability plot: what was forecast across, what came true upwards; on the diagonal a forecast means what it says.

    Attributes:
        points: ``x``, ``y`` in pixels, with the row of ``forecast_bin``.
        marks: Ticks: place in pixels from the axis' start, text.
        top: Probability at the end of both axes.
    """

    points: list[dict[str, Any]]
    marks: list[tuple[float, str]]
    top: float
    side: int = _SIDE
    left: int = _LEFT
    above: int = _TOP


def forecast_router(store: SnapshotStore, templates: Templates) -> APIRouter:
    """``/forecast``, for principals that may read the warehouse."""
    router = APIRouter(include_in_schema=False, dependencies=[require(WAREHOUSE_READ)])
    repository = ForecastRepository(store)

    @router.get("/forecast")
    def worklist(request: Request, department: Annotated[str, Query(max_length=200)] = "", number: Annotated[int, Query(ge=1, le=1_000_000)] = 1) -> Response:
        snapshot = store.in_service()
        found = repository.page(snapshot, number, _SIZE, department or None)
        measures, bins = repository.judgement(snapshot)
        return staff_page(
            request, templates, "forecast.html", here="forecast", snapshot=snapshot, found=found, department=department, number=number, pages=max(1, -(-found.count // _SIZE)),
            measures=measures, names=NAMES, plot=reliability([row for row in bins if row["name"] == "model"]),
        )  # fmt: skip

    return router


def reliability(bins: list[dict[str, Any]]) -> Reliability | None:
    """Lay the plot out.

    Args:
        bins: Rows of ``forecast_bin`` of one forecaster; none: no plot.
    """
    if not bins:
        return None
    largest = max(max(row["predicted"], row["observed"]) for row in bins)
    top = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if step >= largest or step == 1.0)
    points = [row | {"x": _LEFT + row["predicted"] / top * _SIDE, "y": _TOP + _SIDE - row["observed"] / top * _SIDE} for row in bins]
    return Reliability(points, [(_SIDE * part / 4, f"{top * part / 4:.2%}") for part in range(5)], top)
