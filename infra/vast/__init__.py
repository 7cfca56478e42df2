"""VAST Database through its SDK: one code path for a cluster and for the local server."""
