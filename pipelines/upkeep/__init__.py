"""Keeping a home in order: its version and upgrade, what is tidied away, what the doctor looks at."""
