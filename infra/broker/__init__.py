"""Redis (or Valkey): what waits, what is locked, and how far jobs have come."""
