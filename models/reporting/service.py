"""The door to reports: one self-contained HTML page of a run, readable without a server or a network."""

import os
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from models.domain.settings import Settings
from models.reporting.content import arrange
from models.store.report import report_figures

LATEST = "latest.html"


def write_report(settings: Settings, path: Path, run_id: str) -> Path:
    """Writes the report of a run to ``<home>/reports/<run_id>.html`` and ``latest.html``.

    Both files are replaced whole: a reader sees the old page or the new one.

    Args:
        settings: Home, zone of the instants shown, address of the server that links lead to.
        path: The published snapshot, or the masked marts.
        run_id: Run that the report is about.

    Returns:
        The run's own file.
    """
    page = render(settings, path, run_id)
    folder = settings.home / "reports"
    folder.mkdir(parents=True, exist_ok=True)
    for name in (f"{run_id}.html", LATEST):
        temporary = folder / f"{name}.tmp"
        temporary.write_text(page, encoding="utf-8")
        os.replace(temporary, folder / name)
    return folder / f"{run_id}.html"


def render(settings: Settings, path: Path, run_id: str) -> str:
    """The page as text; parameters as of :func:`write_report`."""
    environment = Environment(
        loader=PackageLoader("models.reporting"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    style = files("models.reporting").joinpath("templates", "report.css").read_text(encoding="utf-8")
    figures = report_figures(path, run_id, settings.zone)
    docs = f"checks/{run_id}/index.html"
    server = f"http://{settings.host}:{settings.port}"
    return environment.get_template("report.html.j2").render(
        arrange(figures), docs=docs if (settings.home / "reports" / docs).is_file() else None, style=Markup(style), server=server, zone=settings.zone  # noqa: S704 - our own style sheet
    )
