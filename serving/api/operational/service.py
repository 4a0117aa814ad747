"""The routers of the operational API, each one resource."""

from serving.api.operational.cases.router import router as cases
from serving.api.operational.matters.router import router as matters
from serving.api.operational.processes.router import router as processes
from serving.api.operational.tasks.router import router as tasks

ROUTERS = (matters, processes, cases, tasks)
