"""What the classes of settings have in common."""

from pydantic import BaseModel, ConfigDict
from pydantic.config import JsonDict


class Section(BaseModel):
    """Settings that belong together."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def allowed(words: str) -> JsonDict:
    """What to tell somebody whose value is refused, where the library would say it badly."""
    return {"allowed": words}
