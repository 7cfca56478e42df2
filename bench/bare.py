"""The floor of an answer: a bare Flask behind the store's web server, which returns known bytes.

`python -m bench.bare PORT PROCESSES THREADS` serves the files of the working directory, read once.
"""

import sys
from functools import cache
from pathlib import Path

from flask import Flask, Response, request
from granian import Granian
from granian.constants import Interfaces

application = Flask(__name__)


@cache
def content(name: str) -> bytes:
    return Path(name).read_bytes()


@application.get("/<name>")
def read(name: str) -> Response:
    return Response(content(name), content_type="application/json")


@application.post("/<name>")
def write(name: str) -> Response:
    request.get_data()
    return Response(content(name), 201, content_type="application/json")


if __name__ == "__main__":
    port, processes, threads = map(int, sys.argv[1:])
    Granian(
        "bench.bare:application",
        address="127.0.0.1",
        port=port,
        interface=Interfaces.WSGI,
        workers=processes,
        blocking_threads=threads,
        log_access=False,
    ).serve()
