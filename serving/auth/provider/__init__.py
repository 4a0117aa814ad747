"""A small OpenID provider for development and tests: what the city's own does in production, on this machine only."""
