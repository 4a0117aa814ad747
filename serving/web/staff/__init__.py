"""The page of staff and evaluators: how the last run went, how departments score. NiceGUI; no public content."""
