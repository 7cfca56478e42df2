"""How domain values look as JSON, after the schemas of TAMS 8.2."""
