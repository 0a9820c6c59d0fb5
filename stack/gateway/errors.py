"""Every error the gateway answers with: `{code, message, field}`. Codes are stable; messages are for people and may change.

`field` names the member of the body, the query parameter or the path segment that is wrong, else it is null. 504 carries
`outcome: "unknown"` and the client_order_id besides: the order may have been taken, and sending the same body again is
safe and settles it.
"""

from __future__ import annotations

from typing import Any

# code: (status, what it means)
TABLE: dict[str, tuple[int, str]] = {
    "bad_request": (400, "the request is no HTTP that can be read"),
    "unauthenticated": (401, "no API key came with the request, or one that nobody has"),
    "wrong_account": (403, "the API key belongs to another account"),
    "operators_only": (403, "only an operator's API key may do this"),
    "not_found": (404, "there is no such route"),
    "unknown_order": (404, "no such order, or it belongs to another account"),
    "no_such_symbol": (404, "the symbol in the path is no instrument here"),
    "method_not_allowed": (405, "the route has other methods; `Allow` lists them"),
    "client_order_id_conflict": (409, "the client_order_id was used before, by an order with another body"),
    "request_id_conflict": (409, "the request_id was used before, by a replace with another body"),
    "order_closed": (409, "the order is no longer open"),
    "body_too_large": (413, "the body is larger than the limit"),
    "invalid_json": (422, "the body is not one JSON document in UTF-8"),
    "duplicate_key": (422, "a member stands twice in one object"),
    "unknown_field": (422, "a member or parameter that nobody knows"),
    "missing_field": (422, "a required member or parameter is not there"),
    "wrong_type": (422, "a member has the wrong JSON type"),
    "bad_value": (422, "a member or parameter has a value that is not allowed"),
    "not_allowed": (422, "a member that this kind of order does not take, or a combination that makes no sense"),
    "not_a_number": (422, "a price or quantity is no decimal number"),
    "not_positive": (422, "a price or quantity is zero or below"),
    "not_a_multiple": (422, "a price is off the tick, or a quantity off the lot"),
    "too_large": (422, "a price or quantity is above what an order may have"),
    "unknown_symbol": (422, "the symbol in the body or query is no instrument here"),
    "unknown_account": (422, "the account is not defined"),
    "post_only_would_cross": (422, "a post-only order would match at once; nothing was done"),
    "too_many_far_levels": (422, "too many price levels far from the market; nothing was done"),
    "batch_size": (422, "a batch is empty or has too many orders"),
    "busy": (429, "too many orders for the disk or for max_orders_per_second; nothing was done, try again"),
    "internal": (500, "our own bug; the log has the details"),
    "halted": (503, "trading is halted by an operator; cancels pass"),
    "instrument_halted": (503, "this instrument is halted"),
    "book_full": (503, "the engine holds as many open orders as it may"),
    "disk_full": (503, "the engine's disk has no room for more; nothing was done, reads go on"),
    "engine_unavailable": (503, "the engine did not come back in time; nothing was done"),
    "too_many_held": (503, "too many requests already wait for the engine; nothing was done"),
    "history_unavailable": (503, "PostgreSQL does not answer; order entry and live orders go on"),
    "history_behind": (503, "PostgreSQL is too far behind the engine to list orders without gaps; live orders go on"),
    "not_ready": (503, "this gateway cannot take orders now"),
    "stopping": (503, "this gateway is going away"),
    "outcome_unknown": (504, "the engine was lost after it got the request: it may have been taken"),
}

RETRY_AFTER_S = {
    "busy": 1,
    "disk_full": 5,
    "engine_unavailable": 1,
    "too_many_held": 1,
    "history_unavailable": 1,
    "history_behind": 1,
}


class ApiError(Exception):
    """One entry of TABLE with its message; `more` adds members to the answer."""

    def __init__(self, code: str, message: str, field: str | None = None, **more: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.field, self.more = code, message, field, more
        self.status = TABLE[code][0]

    def body(self) -> dict[str, Any]:
        return {"code": self.code, "message": self.message, "field": self.field, **self.more}

    def headers(self) -> dict[str, str]:
        headers = {}
        if self.code in RETRY_AFTER_S:
            headers["Retry-After"] = str(RETRY_AFTER_S[self.code])
        if self.code == "unauthenticated":
            headers["WWW-Authenticate"] = "Bearer"
        if self.code == "body_too_large":
            headers["Connection"] = "close"  # the rest of the body is not read
        return headers


def shown(value: object, length: int = 40) -> str:
    """A value somebody sent, short and safe to put into a message."""
    text = str(value).encode("ascii", "backslashreplace").decode("ascii")
    return text if len(text) <= length else f"{text[: length - 3]}..."
