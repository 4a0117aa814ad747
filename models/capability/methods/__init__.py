"""Methods of composite indicators as pure functions over arrays.

Values have the shape (…, units, indicators); what compares units does so along the second axis from the end and for
every leading index apart. NaN is a missing value: it takes no part and stays NaN unless a method fills it.
"""
