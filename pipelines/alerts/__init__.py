"""Alerts to a webhook: a run failed, a severe check failed, a source is stale, and that it is over."""
