"""The outside world: settings, VAST, S3, Redis, media files and the local services."""
