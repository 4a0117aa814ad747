"""The routers of the operational API, each one resource."""

from serving.api.operational.processes.router import router as processes

ROUTERS = (processes,)
