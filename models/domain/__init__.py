"""The domain: contracts, code tables, identifiers, calendar and the statutory clock.

Pure: nothing here reads a file at import, opens a socket or asks what time it is.
"""
