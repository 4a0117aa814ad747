"""The sample city: master data, cases, events, certificates and reviews of an invented new area, with planted errors."""
