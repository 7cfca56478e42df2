"""Media files: what is in them, when it plays, and cutting and joining them unharmed.

* Nothing here decodes or encodes, except `demo`, which makes a file to try the store with.
* Media time is exact: a `fractions.Fraction` of seconds inside, whole nanoseconds outside,
  always rounded down, so that the end of one thing and the start of the next agree.
* No HTTP, no S3, no settings: functions take paths or seekable file objects.
"""
