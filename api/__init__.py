"""HTTP in and out: TAMS 8.2, and the extensions documented beside it.

A view translates a request into values, calls one operation, and renders what it returns.
"""

from api.app import create_app, create_listener
from api.options import Options

__all__ = ["Options", "create_app", "create_listener"]
