"""A past day anew: as it was known then, or as it is known now."""
