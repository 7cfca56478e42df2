"""How domain values look as rows of VAST Database tables."""
