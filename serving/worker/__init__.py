"""What runs beside the server: sealing, time, webhooks, jobs."""
