"""What the REST connector is made of: requests that fail and are tried again, JSON without loss, listings page by page."""
