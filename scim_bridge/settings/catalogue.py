"""Every setting that there is, found by walking through the sections."""

from collections.abc import Iterator, Mapping

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from scim_bridge.settings.model import Settings
from scim_bridge.settings.names import Path


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The class of a field that is a section, None for a setting."""
    annotation = field.annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def sections() -> Iterator[tuple[Path, type[BaseModel]]]:
    """All sections in their order, each before the sections inside it."""
    yield from _sections((), Settings)


def _sections(path: Path, model: type[BaseModel]) -> Iterator[tuple[Path, type[BaseModel]]]:
    for name, field in model.model_fields.items():
        section = section_of(field)
        if section is not None:
            yield (*path, name), section
            yield from _sections((*path, name), section)


def settings_of(path: Path, section: type[BaseModel]) -> dict[Path, FieldInfo]:
    """The settings of one section, without those of the sections inside it."""
    return {(*path, name): field for name, field in section.model_fields.items() if section_of(field) is None}


CATALOGUE: Mapping[Path, FieldInfo] = {
    path: field for start, section in sections() for path, field in settings_of(start, section).items()
}
"""All settings by their path."""
