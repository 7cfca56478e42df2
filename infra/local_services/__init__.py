"""The services of a store that runs on one machine: broker, object store, database.

* `plan.py` says which services a data directory needs and what is known about them; the
  rest of the package is what it takes to say that, one file per service.
* Everything listens on loopback, on ports that were free when they were chosen.
* Credentials are generated once, kept in the data directory, readable by its owner only,
  and never put on a command line.
* A service whose address is set in the environment is used where it is, and not started.
* Nothing here runs a process; `workers.supervisor` does.
"""
