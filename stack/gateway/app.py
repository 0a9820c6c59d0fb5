"""The ASGI application: the two hot routes first, FastAPI for everything else, every error in one shape."""

from __future__ import annotations

import logging
import time
from collections.abc import MutableMapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from stack.gateway import health, market, openapi, operations, orders
from stack.gateway.errors import ApiError, shown
from stack.gateway.gateway import Gateway
from stack.gateway.hot import place_batch, place_one
from stack.gateway.web import ClientGone, Receive, Scope, Send, error_response, send_json

logger = logging.getLogger(__name__)

HOT = {"/orders": place_one, "/orders/batch": place_batch}
ROUTED = (orders, market, operations, health, openapi)


class Application:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._cold = cold(gateway)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"no {scope['type']} here")
        start = time.perf_counter()
        status = 0

        async def counted(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        hot = HOT.get(scope["path"]) if scope["method"] == "POST" else None
        try:
            if hot is None:
                await self._cold(scope, receive, counted)
                route = f"{scope['method']} {getattr(scope.get('route'), 'path', 'unmatched')}"
            else:
                route = f"POST {scope['path']}"
                try:
                    await hot(self._gateway, scope, receive, counted)
                except ApiError as error:
                    await send_json(counted, error.status, error.body(), error.headers())
        except ClientGone:
            return
        except Exception:
            logger.exception("%s %s failed", scope["method"], shown(scope["path"]))
            if not status:
                bug = ApiError("internal", "our own bug; the gateway's log has the details")
                await send_json(counted, bug.status, bug.body())
            route = "failed"
        self._gateway.metrics.answered(route, status, time.perf_counter() - start)


def cold(gateway: Gateway) -> FastAPI:
    app = FastAPI(
        title="hftctl stack", version="1", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False
    )
    app.state.gateway = gateway
    for module in ROUTED:
        app.include_router(module.router)
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(RequestValidationError, _bad_parameter)
    return app


async def _api_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101  it is registered for nothing else
    return error_response(error)


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  it is registered for nothing else
    if error.status_code == 405:
        allowed = ", ".join(_methods(request))
        response = error_response(
            ApiError("method_not_allowed", f"{request.method} is not possible here; there is {allowed}")
        )
        response.headers["Allow"] = allowed
        return response
    return error_response(ApiError("not_found", f"there is no route {shown(request.url.path)}; see /openapi.json"))


def _methods(request: Request) -> list[str]:
    """All methods of a path: each route knows only its own."""
    path = request.url.path
    methods = {"POST"} if path in HOT else set()
    for route in (route for module in ROUTED for route in module.router.routes):
        if isinstance(route, Route) and route.path_regex.match(path):
            methods |= route.methods or set()
    return sorted(methods)


async def _bad_parameter(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  it is registered for nothing else
    first = error.errors()[0]
    field = shown(first["loc"][-1])
    code = "missing_field" if first["type"] == "missing" else "bad_value"
    return error_response(ApiError(code, f"{field}: {first['msg'].lower()}", field))
