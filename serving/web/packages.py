"""上报包: the packages for the platform above, what each holds, and the records held back, for their departments to mend. Pages without script."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import FileResponse, Response

from models.domain.contracts import SUBJECT_TITLES
from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.snapshots import SnapshotStore
from quality.catalogue.words import said, title_of
from quality.reporting import service as reporting
from serving.auth.service import WAREHOUSE_READ, require
from serving.web.catalogue import staff_page
from serving.web.templating import Templates

SUBJECTS = {name: SUBJECT_TITLES[name] for name in reporting.REPORTED}
"""Subject that is reported → its title."""
KINDS = {"build": "上报", "correct": "更正", "withdraw": "撤回"}
_SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_SIZE = 50
Word = Annotated[str, Query(max_length=200)]
Number = Annotated[int, Query(ge=1, le=1_000_000)]


def packages_router(settings: Settings, store: SnapshotStore, templates: Templates) -> APIRouter:
    """``/quality/packages`` and what lies below, for principals that may read the warehouse.

    Args:
        settings: The home whose packages are shown.
        store: For the snapshot that every page of quality names.
        templates: The pages.
    """
    router = APIRouter(include_in_schema=False, dependencies=[require(WAREHOUSE_READ)])

    def page(request: Request, template: str, **values: Any) -> Response:
        return staff_page(
            request, templates, template, here="quality", snapshot=store.in_service(), subjects=SUBJECTS, kinds=KINDS, actions=reporting.ACTIONS,
            severities={}, **values,
        )  # fmt: skip

    @router.get("/quality/packages")
    def packages(request: Request, subject: Word = "", number: Number = 1) -> Response:
        if subject and subject not in SUBJECTS:
            raise YiwangError("YW-REPORT-001", subject=subject, known="、".join(SUBJECTS))
        found, count = reporting.built(settings, subject or None, number, _SIZE)
        return page(request, "quality_packages.html", packages=found, count=count, subject=subject, number=number, pages=max(1, -(-count // _SIZE)))

    @router.get("/quality/packages/{package}")
    def package(request: Request, package: str, department: Word = "", number: Number = 1) -> Response:
        manifest = reporting.manifest_of(settings, package)
        wanted = None if not department else "" if department == "-" else department
        rows, count = reporting.held_lines(settings, package, wanted, number, _SIZE)
        files = {path.stem: path.name for path in reporting.held_files(settings, package)}
        return page(
            request, "quality_package.html", manifest=manifest, groups=reporting.held_groups(settings, package), rows=rows, count=count, department=department,
            number=number, pages=max(1, -(-count // _SIZE)), files=files, table=reporting.REPORTED[manifest.subject], reasons=reporting.REASONS, title_of=title_of,
            said=said,
        )  # fmt: skip

    @router.get("/quality/packages/{package}/{name}")
    def download(package: str, name: str) -> Response:
        path = next((path for path in reporting.held_files(settings, package) if path.name == name), None)
        if path is None:
            raise YiwangError("YW-SERVE-006", what="这份未上报清单")
        return FileResponse(path, media_type=_SHEET, filename=f"{package}-{name}", headers={"cache-control": "no-store"})

    return router
