"""The plain alternative: an endpoint of FastAPI that does one indexed query, with nothing around it."""

from uuid import UUID

import sqlalchemy as sa
from fastapi import FastAPI

from models.domain.settings import get_settings
from models.store.operational.database import Database
from models.store.operational.tables import CaseFile


def app() -> FastAPI:
    """The application; ``uvicorn --factory``."""
    made, database = FastAPI(), Database(get_settings())

    @made.get("/bare/{case_id}")
    def bare(case_id: UUID) -> dict[str, str]:
        with database.read() as session:
            row = session.execute(sa.select(CaseFile.case_number, CaseFile.phase).where(CaseFile.id == case_id)).one()
        return {"case_number": row.case_number, "phase": row.phase}

    return made
