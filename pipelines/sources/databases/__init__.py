"""Databases as the kind ``sql`` reads them: what is asked, how it is paged, and what makes late commits safe."""
