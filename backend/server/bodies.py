"""Bodies of requests: JSON, in the shape that is expected."""

from __future__ import annotations

from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

Shape = TypeVar("Shape", bound=BaseModel)


def json_of(content: bytes) -> Any:
    """The body as JSON. Raises HTTPException: 400 where it is none."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise HTTPException(400, f"the body is not JSON: {error}") from error


def checked(shape: type[Shape], content: bytes) -> Shape:
    """The body in its shape. Raises HTTPException: 400 where it is no JSON, 422 where something is missing or wrong."""
    return shaped(shape, json_of(content))


def shaped(shape: type[Shape], parsed: Any) -> Shape:
    """What was parsed, in its shape. Raises HTTPException: 422 where something is missing or wrong."""
    if not isinstance(parsed, dict):
        raise HTTPException(422, f"the body must be a JSON object, not {type(parsed).__name__}")
    try:
        return shape.model_validate(parsed)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:3])
        raise HTTPException(422, f"{told} ({shape.__doc__})") from error
