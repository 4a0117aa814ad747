"""The kinds of source: one module, one class each (docs/sources.md, "A kind of its own")."""
