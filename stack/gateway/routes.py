"""What FastAPI's routes have in common: who calls, which parameters there are, which errors are documented."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer

from stack.gateway import strict
from stack.gateway.errors import TABLE, ApiError, shown
from stack.gateway.gateway import Gateway
from stack.gateway.model import validated
from stack.gateway.schemas import Error
from stack.gateway.web import read_body
from stack.keys import Caller

BEARER = HTTPBearer(auto_error=False, description="an API key; not needed where authentication is off")


def gateway_of(request: Request) -> Gateway:
    return request.app.state.gateway  # type: ignore[no-any-return]


TheGateway = Annotated[Gateway, Depends(gateway_of)]


def known_parameters(request: Request) -> None:
    """A parameter misspelt, or given twice, is an error and not a different question."""
    known = {parameter.alias for parameter in request.scope["route"].dependant.query_params}
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        field = shown(name)
        if name not in known:
            there = f"there are {', '.join(sorted(known))}" if known else "there are none"
            raise ApiError("unknown_field", f"the parameter {field!r} is not known here; {there}", field)
        if name in seen:
            raise ApiError("duplicate_key", f"the parameter {field!r} stands twice", field)
        seen.add(name)


def _caller(request: Request, gateway: TheGateway) -> Caller:
    return gateway.caller(request.scope)


def _operator(caller: TheCaller) -> Caller:
    if not caller.operator:
        raise ApiError("operators_only", "only an operator's API key may do this")
    return caller


TheCaller = Annotated[Caller, Depends(_caller)]
Operator = Annotated[Caller, Depends(_operator)]
WITH_KEY = [Security(BEARER), Depends(_caller), Depends(known_parameters)]
OPEN = [Depends(known_parameters)]


async def body_as(model: type[Any], request: Request, gateway: Gateway) -> Any:
    body = await read_body(request.scope, request.receive, gateway.settings.max_body_bytes)
    return validated(model, strict.read(body))


def body_of(model: type[Any], *, required: bool = True) -> dict[str, Any]:
    """`openapi_extra` of a route that reads its body itself."""
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}}
    return {"requestBody": {"required": required, "content": content}}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Documented errors of a route, with the codes that each status has."""
    return {
        status: {
            "model": Error,
            "description": "; ".join(f"`{code}`: {why}" for code, (of, why) in TABLE.items() if of == status),
        }
        for status in sorted({*statuses, 422, 500})
    }
