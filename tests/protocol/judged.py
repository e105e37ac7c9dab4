"""What foreign judges are let loose on: the endpoints alone, or the whole application, with every answer noted."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from tests.world import World


@dataclass
class Judged:
    """A WSGI application that notes what it is asked and how it answers."""

    app: "WSGIApplication"
    token: str
    world: "World | None" = None
    """Everything behind the whole application; None where there is nothing but the endpoints."""

    answers: list[tuple[str, str, int]] = field(default_factory=list)
    """Method, path and status of every answer."""

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        def noted(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            self.answers.append((environ["REQUEST_METHOD"], environ["PATH_INFO"], int(status.split()[0])))
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        return self.app(environ, noted)

    def faults(self) -> list[tuple[str, str, int]]:
        """The answers that are 5xx (rule A2: never for something a client sent)."""
        return [answer for answer in self.answers if answer[2] >= 500]
