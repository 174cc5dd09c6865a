"""Base class of the sections of the config, and validators for optional keys."""

from typing import TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, model_validator

V = TypeVar("V")


def _some(values: V) -> V:
    if not values:
        raise ValueError("expected at least one entry")
    return values


def _given(value: object) -> object:
    # An empty `methods:` could mean none or any, which matters on a public route.
    if value is None:
        raise ValueError("expected a value; leave the key out for the default")
    return value


SOME = AfterValidator(_some)
"""Requires at least one entry."""

GIVEN = BeforeValidator(_given)
"""Refuses a key without a value, where leaving the key out has another meaning."""


class Section(BaseModel):
    """A mapping of the file. Unknown keys are errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _empty(cls, data: object) -> object:
        """Read a section without keys as one with defaults: all its keys may be commented out."""
        return {} if data is None else data
