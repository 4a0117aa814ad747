"""The command ``yiwang``."""
