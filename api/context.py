"""What a view reaches beyond its request."""

from typing import Final, cast

from flask import current_app

from tasks.ports import Ports

EXTENSION: Final = "tams"

# Who acts, until there is authentication.
PRINCIPAL: Final = "anonymous"


def ports() -> Ports:
    """The ports of this process."""
    return cast("Ports", current_app.extensions[EXTENSION])
