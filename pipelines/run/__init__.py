"""One run of the whole job, in this process: ``yiwang run``."""
