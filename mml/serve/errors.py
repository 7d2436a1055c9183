"""Refusals: JSON with one clear message."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import Scope

from mml.errors import InputError
from mml.serve.schemas import Failure

_LOGGER = logging.getLogger(__name__)
_MEANINGS = {
    400: "The body is not JSON.",
    401: "The bearer token is missing or wrong.",
    403: "Not allowed on this server.",
    404: "There is no such item.",
    408: "The body came too slowly.",
    413: "The body is too large.",
    422: "A value is missing or out of bounds.",
    429: "Too many requests wait; try again after the seconds that Retry-After says.",
    503: "Not possible just now.",
}
_PLAIN = {
    "Not Found": "there is no such path; /docs lists what there is",
    "Method Not Allowed": "this path does not take this method; /docs lists what there is",
    "There was an error parsing the body": "the body is not JSON",
}
_WORDS = {
    "missing": "it is missing",
    "string_too_short": "it is empty",
    "string_too_long": "it has more than {max_length} characters",
    "too_short": "it is empty",
    "too_long": "it has more than {max_length} entries",
    "dict_type": "it should be an object",
    "model_attributes_type": "it should be an object",
    "value_error": "{error}",
}
"""Kinds of problems that pydantic tells in its own terms -> plain words."""
_KEY = "[key]"
_BRANCHES = ("constrained-", "function-", "list[", "nullable", "str", "int", "float", "bool")


class Overloaded(Exception):
    """Too much waits already.

    Args:
        retry_after: seconds after which it is worth to try again.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many requests wait; try again in {retry_after} s")
        self.retry_after = retry_after


class Unavailable(Exception):
    """What was asked for cannot be done just now."""


def refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An answer that says why there is no other."""
    safe = message.encode("utf-8", "replace").decode("utf-8")
    return JSONResponse({"error": safe}, status_code=status, headers=dict(headers or {}))


class Problem(TypedDict):
    """What a validation found, as pydantic tells it."""

    type: str
    loc: tuple[int | str, ...]
    msg: str
    ctx: NotRequired[dict[str, object]]


def documented(*statuses: int) -> dict[int | str, dict[str, object]]:
    """Refusals of an endpoint, for its specification."""
    return {status: {"model": Failure, "description": _MEANINGS[status]} for status in statuses}


def known_query(request: Request) -> None:
    """Refuse parameters of the query that the endpoint does not have, as unknown keys of a body are.

    Raises:
        HTTPException: naming the first.
    """
    known = {parameter.alias for parameter in request.scope["route"].dependant.query_params}
    for name in request.query_params:
        if name not in known:
            there = f"; there is {', '.join(sorted(known))}" if known else ""
            raise HTTPException(422, f"query.{name}: there is no such parameter{there}")


def add_handlers(app: FastAPI) -> None:
    """Let every failure answer in the same form."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Overloaded, _overloaded)
    app.add_exception_handler(Unavailable, lambda _, error: refusal(503, str(error), {"Retry-After": "5"}))
    app.add_exception_handler(InputError, lambda _, error: refusal(422, str(error)))
    app.add_exception_handler(Exception, _unexpected)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return refusal(*described(error.errors()))


def described(problems: Sequence[Problem]) -> tuple[int, str]:
    """Status and message for what a validation found."""
    first = problems[0]
    if first["type"] == "json_invalid":
        return 400, f"the body is not JSON: {first['ctx']['error']} at character {first['loc'][-1]}"
    places = dict.fromkeys(_place(problem["loc"]) for problem in problems)
    more = f" (and {len(places) - 1} more)" if len(places) > 1 else ""
    return 422, f"{_place(first['loc'])}: {_reason(first, problems)}{more}"


def _place(location: Sequence[str | int]) -> str:
    """`body.events.3.item_id`, without the names of a union's branches; of a key the mapping that it is in."""
    location = location[:-2] if location[-1] == _KEY else location
    kept = [str(part) for part in location[1:] if isinstance(part, int) or not str(part).startswith(_BRANCHES)]
    return ".".join([str(location[0]), *kept])


def _reason(problem: Problem, problems: Sequence[Problem]) -> str:
    if problem["type"] == "extra_forbidden":
        return "there is no such key; see /docs"
    if problem["type"] in ("model_attributes_type", "missing") and len(problem["loc"]) == 1:
        return "a JSON object is needed, with the header 'Content-Type: application/json'"
    if problem["loc"][-1] == _KEY:
        return _in_words(problem).replace("it ", "a user id ", 1)
    place = _place(problem["loc"])
    here = [other for other in problems if _place(other["loc"]) == place and other["loc"][-1] != _KEY]
    typed = [other for other in here if not other["type"].endswith("_type")]  # of a union the branch that it is of
    return ", or ".join(dict.fromkeys(map(_in_words, typed or here)))


def _in_words(problem: Problem) -> str:
    if problem["type"] in _WORDS:
        return _WORDS[problem["type"]].format(**problem.get("ctx", {}))
    return str(problem["msg"]).replace("Input should", "it should", 1)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    message = _PLAIN.get(str(error.detail), str(error.detail))
    headers = {**(error.headers or {}), **(_allowed(request) if error.status_code == 405 else {})}
    return refusal(error.status_code, message, headers)


def _allowed(request: Request) -> dict[str, str]:
    """All methods of a path: what is raised names those of one of its endpoints."""
    methods = request.app.openapi()["paths"].get(template(request.scope))
    return {"Allow": ", ".join(sorted(method.upper() for method in methods))} if methods else {}


def template(scope: Scope) -> str:
    """The path as the specification has it, such as /similar/{item_id}; `other` for what is not there."""
    return str(getattr(scope.get("route"), "path", "other")).replace(":path}", "}")


async def _overloaded(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Overloaded)
    return refusal(429, str(error), {"Retry-After": str(error.retry_after)})


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    _LOGGER.error("%s %s failed: %r", request.method, request.url.path, error)
    return refusal(500, "the server failed on this request; its log says why")
