"""What all sections of the config have in common."""

from typing import TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, model_validator

V = TypeVar("V")


def _some(values: V) -> V:
    if not values:
        raise ValueError("expected at least one entry")
    return values


def _given(value: object) -> object:
    # An empty `methods:` could be meant as none or as any: on a public route that matters.
    if value is None:
        raise ValueError("expected a value; leave the key out for the default")
    return value


SOME = AfterValidator(_some)
GIVEN = BeforeValidator(_given)


class Section(BaseModel):
    """A mapping of the file. A key that it does not know is an error."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _empty(cls, data: object) -> object:
        """A section of which all is commented out is there, and has its defaults."""
        return {} if data is None else data
