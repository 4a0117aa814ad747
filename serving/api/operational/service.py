"""The routers of the operational API, each one resource or a few that belong together."""

from serving.api.operational.access.router import router as access
from serving.api.operational.audit.router import router as audit
from serving.api.operational.authorisations.router import router as authorisations
from serving.api.operational.background.router import router as background
from serving.api.operational.cases.router import router as cases
from serving.api.operational.feedback.router import router as feedback
from serving.api.operational.matters.router import router as matters
from serving.api.operational.organisation.router import router as organisation
from serving.api.operational.parties.router import router as parties
from serving.api.operational.processes.router import router as processes
from serving.api.operational.staff.router import router as staff
from serving.api.operational.tasks.router import router as tasks

ROUTERS = (matters, processes, cases, tasks, feedback, parties, authorisations, organisation, staff, access, background, audit)
