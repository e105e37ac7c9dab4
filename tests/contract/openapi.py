"""`openapi.yaml`: what it documents, and whether a request and its answer keep to it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml
from openapi_core import Config, OpenAPI
from openapi_core.contrib.requests import RequestsOpenAPIRequest, RequestsOpenAPIResponse
from openapi_schema_validator import OAS31Validator, oas31_format_checker
from referencing import Registry
from referencing.jsonschema import DRAFT202012

FILE = Path(__file__).parents[2] / "openapi.yaml"
METHODS = ("get", "put", "post", "delete", "patch")
JSON = "application/scim+json"

MISTAKES = frozenset({400, 401, 403, 405, 413, 415, 429, 501})
"""Statuses of requests that needn't keep to the file: being wrong is what they are answered for."""

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    """Below each of `servers`."""

    servers: tuple[str, ...]
    document: Document

    @property
    def statuses(self) -> list[int]:
        """The statuses that it may be answered with."""
        return [int(status) for status in self.document["responses"]]

    @property
    def takes_body(self) -> bool:
        """Whether something is to be sent."""
        return "requestBody" in self.document

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Example:
    """An example, the place where it stands, and the place of the schema that it is of."""

    place: str
    schema: str
    value: Any


class Contract:
    """The file, read once."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self._openapi = OpenAPI.from_dict(document, config=Config(extra_media_type_deserializers={JSON: _decoded}))
        resource = DRAFT202012.create_resource(document)
        self._registry: Registry[Any] = Registry().with_resource("urn:openapi", resource)

    def operations(self) -> list[Operation]:
        """All that is documented."""
        return [
            Operation(method.upper(), path, self._servers(item), item[method])
            for path, item in self.document["paths"].items()
            for method in METHODS
            if method in item
        ]

    def routes(self) -> set[tuple[str, str]]:
        """All methods and paths, those of all servers."""
        return {
            (operation.method, f"{server}{operation.path}")
            for operation in self.operations()
            for server in operation.servers
        }

    def at(self, place: str) -> Any:
        """What a JSON pointer, such as `#/components/schemas/User`, points at."""
        value: Any = self.document
        for step in place.removeprefix("#/").split("/"):
            value = value[step.replace("~1", "/").replace("~0", "~")]
        return value

    def resolved(self, value: Any) -> Any:
        """The value, or what it refers to."""
        return self.at(value["$ref"]) if isinstance(value, dict) and isinstance(value.get("$ref"), str) else value

    def bodies(self, operation: Operation) -> dict[str, Any]:
        """The examples of what an operation is sent, by their names."""
        content = self.resolved(operation.document.get("requestBody", {})).get("content", {})
        return {name: each["value"] for name, each in content.get(JSON, {}).get("examples", {}).items()}

    def examples(self) -> Iterator[Example]:
        """Every example in the file."""
        yield from _examples(self.document, "#")

    def example_problems(self, example: Example) -> list[str]:
        """What is wrong with an example."""
        schema = {"$ref": f"urn:openapi{example.schema}"}
        validator = OAS31Validator(schema, registry=self._registry, format_checker=oas31_format_checker)
        return [f"{example.place}: {error.message}" for error in validator.iter_errors(example.value)]

    def problems(self, response: requests.Response) -> list[str]:
        """What the file doesn't say of an answer, or of the request that it answers."""
        request = RequestsOpenAPIRequest(response.request)
        errors = list(self._openapi.iter_response_errors(request, RequestsOpenAPIResponse(response)))
        if response.status_code not in MISTAKES:
            errors += self._openapi.iter_request_errors(request)
        texts = [text for error in errors for text in _texts(error)]
        if response.status_code in (204, 304) and response.content:
            texts.append("there is a body")
        return [f"{request.method.upper()} {request.path} → {response.status_code}: {text}" for text in texts]

    def _servers(self, item: Document) -> tuple[str, ...]:
        servers: list[Document] = item.get("servers") or self.document["servers"]
        return tuple(server["url"].rstrip("/") for server in servers)


def read() -> Contract:
    """The file as it is."""
    return Contract(yaml.safe_load(FILE.read_text()))


def _decoded(body: bytes, **_: str) -> Any:
    """A body. The parameters of its media type, such as `charset`, change nothing."""
    return json.loads(body)


def _examples(value: Any, place: str) -> Iterator[Example]:
    """The examples below a place: they stand beside the schema that they are of."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _examples(item, f"{place}/{index}")
        return
    if not isinstance(value, dict):
        return
    if isinstance(value.get("schema"), dict):
        schema = f"{place}/schema"
        if "example" in value:
            yield Example(f"{place}/example", schema, value["example"])
        for name, each in value.get("examples", {}).items():
            yield Example(f"{place}/examples/{name}", schema, each["value"])
    for key, item in value.items():
        if key not in ("example", "examples"):
            yield from _examples(item, f"{place}/{_escaped(key)}")


def _escaped(key: str) -> str:
    """A key as one step of a JSON pointer within a URL."""
    return re.sub(r"[{}$^\\]", lambda match: f"%{ord(match[0]):02X}", key.replace("~", "~0").replace("/", "~1"))


def _texts(error: Exception) -> Iterator[str]:
    """What an error of openapi-core's is about; the cause has the details."""
    causes: list[Any] = list(getattr(error.__cause__, "schema_errors", ()))
    if not causes:
        yield f"{type(error).__name__}: {error.__cause__ or error}"
        return
    for cause in causes:
        where = "/".join(str(step) for step in cause.absolute_path)
        yield f"{type(error).__name__}: at /{where}: {cause.message[:500]}"
