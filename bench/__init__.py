"""How fast the platform is, beside the plain alternative in one run; ``python -m bench``. No time is asserted anywhere."""
