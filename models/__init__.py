"""Models of the platform: domain, operational store and services, capability scores, reports."""
