"""/openapi.json. The hot routes do not pass through FastAPI; they are described here, by the models they use."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from stack.gateway.model import OrderRequest, ReplaceRequest, WhyRequest
from stack.gateway.routes import BEARER, OPEN, errors
from stack.gateway.schemas import BatchAnswer, Error, Order
from stack.gateway.web import Json

router = APIRouter(dependencies=OPEN, tags=["operations"])

BATCH_MAX = 1000


@router.get("/openapi.json", responses={200: {"content": {"application/json": {"schema": {"type": "object"}}}}})
async def document(request: Request) -> Json:
    """This document."""
    app = request.app
    if app.openapi_schema is None:
        app.openapi_schema = _document(app)
    return Json(app.openapi_schema)


def _document(app: Any) -> dict[str, Any]:
    whole = get_openapi(title=app.title, version=app.version, routes=app.routes)
    models = [(model, "validation") for model in (OrderRequest, ReplaceRequest, WhyRequest, Error)]
    models += [(model, "serialization") for model in (Order, BatchAnswer)]
    _, definitions = models_json_schema(models, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    whole["components"]["schemas"].update(definitions["$defs"])
    whole["paths"].setdefault("/orders", {})["post"] = _operation(
        "Place an order. Answered when it is durable; the same body again answers 200 and makes no second order.",
        _ref("OrderRequest"),
        {
            "201": ("durable; an IOC or FOK that found nothing is `cancelled`", _ref("Order")),
            "200": ("this order was placed before", _ref("Order")),
        },
        errors(401, 403, 409, 413, 429, 503, 504),
    )
    whole["paths"]["/orders/batch"] = {
        "post": _operation(
            "Place up to 1000 orders. Each is answered for itself, in the order of the batch.",
            {"type": "array", "items": _ref("OrderRequest"), "minItems": 1, "maxItems": BATCH_MAX},
            {"200": ("one answer for each order", {"type": "array", "items": _ref("BatchAnswer")})},
            errors(401, 413),
        )
    }
    return whole


def _operation(
    summary: str,
    body: dict[str, Any],
    answers: dict[str, tuple[str, dict[str, Any]]],
    refusals: dict[int | str, dict[str, Any]],
) -> dict[str, Any]:
    responses = {status: _response(*answer) for status, answer in answers.items()}
    for status, refusal in refusals.items():
        responses[str(status)] = _response(refusal["description"], _ref("Error"))
    return {
        "tags": ["orders"],
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": responses,
        "security": [{BEARER.scheme_name: []}],
    }


def _response(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _ref(model: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{model}"}
