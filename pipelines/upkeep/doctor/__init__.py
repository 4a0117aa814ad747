"""``yiwang doctor``: what is wrong with a home and its machine, and what to do. One function a check; it changes nothing."""
