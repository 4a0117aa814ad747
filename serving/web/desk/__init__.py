"""The desk of people who handle cases: plain pages with forms, which work without a script."""
