"""Maintenance as declarations: a list, its columns, filters, and forms that each call one service; one page shows them all.

What does not belong here: rules, which are the services', and who may, which is the policy's.
"""

from serving.web.desk.keeping.access import AREAS as _ACCESS
from serving.web.desk.keeping.background import AREAS as _BACKGROUND
from serving.web.desk.keeping.feedback import AREAS as _FEEDBACK
from serving.web.desk.keeping.organisation import AREAS as _ORGANISATION
from serving.web.desk.keeping.people import AREAS as _PEOPLE
from serving.web.desk.keeping.processes import AREAS as _PROCESSES
from serving.web.desk.keeping.types import Area, Field, Form, Seen, Told, Values

__all__ = ["AREAS", "Area", "Field", "Form", "Seen", "Told", "Values"]

AREAS: dict[str, Area] = {**_FEEDBACK, **_ORGANISATION, **_PEOPLE, **_ACCESS, **_PROCESSES, **_BACKGROUND}
"""Name in the address → what is kept there."""
