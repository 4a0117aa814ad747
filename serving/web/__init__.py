"""The pages: what citizens see without log-in, and what staff and evaluators see behind the guard."""
