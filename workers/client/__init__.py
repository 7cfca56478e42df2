"""The command line as a client of a TAMS store: ingest a file, get a timerange, demonstrate.

* It speaks to any store by the specification alone; nothing here knows how ours works inside.
* Media is handled by `infra.media`; here it meets HTTP.
"""
