"""Writes dbt's documentation as one page that opens from a folder: ``python -m docs.dbt_site``.

The page is a build product (``docs/site`` is not committed): dbt's own page with the project inlined, as ``dbt docs generate
--static`` makes it, but without data: columns and types come from the contracts in the ``.yml`` files. dbt's page carries
the loader of a tracking script. Our project switches it off; its address is taken out all the same, and a content
security policy forbids the page any fetch.
"""

import json
import sys
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from models.domain.settings import Settings
from pipelines.warehouse.service import load_manifest, project_dir

PAGE = Path(__file__).parent / "site" / "dbt" / "index.html"
"""Where the page is written."""
_POLICY = (
    """<meta http-equiv="Content-Security-Policy" """
    """content="default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:; font-src data:">"""
)
_CLOSED = {
    "//d1fc8wv8zag5ca.cloudfront.net/2.9.0/sp.js": "data:,",
    "fishtownanalytics.sinter-collect.com": "",
    """<link rel="shortcut icon" href="${require('./assets/favicons/favicon.ico')}"/>""": "",
    '<head><meta charset="utf-8">': f'<head><meta charset="utf-8">{_POLICY}',
}
"""Parts of dbt's page that could reach outside, and what stands there instead."""


def build(page: Path = PAGE) -> Path:
    """Writes the page.

    Args:
        page: File to write; its folder is made.

    Returns:
        The file.

    Raises:
        YiwangError: YW-RUN-002 when dbt cannot parse the project.
        RuntimeError: When dbt's page is another than the one we know how to close.
    """
    with TemporaryDirectory() as home:
        manifest = load_manifest(Settings(home=Path(home)))
    html = (files("dbt.task.docs") / "index.html").read_text(encoding="utf-8")
    inlined = {f'"{name}.JSON INLINE DATA"': _script(data) for name, data in (("MANIFEST", manifest), ("CATALOG", catalog(manifest)))}
    for part, instead in {**_CLOSED, **inlined}.items():
        if part not in html:
            raise RuntimeError(f"dbt's page has changed, look at what it fetches: no {part}")
        html = html.replace(part, instead, 1)
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(html, encoding="utf-8")
    return page


def catalog(manifest: dict[str, Any]) -> dict[str, Any]:
    """What dbt would ask the database for, from the contracts: columns and types of the models that have one."""
    nodes = {}
    for key, node in manifest["nodes"].items():
        typed = [column for column in node.get("columns", {}).values() if column.get("data_type")]
        if typed:
            columns = {c["name"]: {"name": c["name"], "type": c["data_type"], "index": i, "comment": None} for i, c in enumerate(typed, start=1)}
            about = {"type": node["config"]["materialized"], "database": node["database"], "schema": node["schema"], "name": node["name"]}
            nodes[key] = {"unique_id": key, "metadata": {**about, "comment": None, "owner": None}, "columns": columns, "stats": {}}
    return {"metadata": {}, "nodes": nodes, "sources": {}, "errors": None}


def _script(data: dict[str, Any]) -> str:
    """JSON as it may stand in a script of a page, without the folder of this machine."""
    text = json.dumps(data, ensure_ascii=False).replace(str(project_dir()), "dbt")
    return text.replace("</", "<\\/")


def main() -> None:
    """Writes the page and says where it is."""
    sys.stdout.write(f"{build()}\n")


if __name__ == "__main__":
    main()
