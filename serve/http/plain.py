"""A route that FastAPI describes and Starlette calls: with no search for parameters that it does not have."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute


class PlainRoute(APIRoute):
    """The way of a function that takes the request and gives the response, for routes where every request counts."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The function itself."""
        return self.endpoint
