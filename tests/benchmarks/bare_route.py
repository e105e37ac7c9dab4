"""`python -m tests.benchmarks.bare_route FILE STATUS CONTENT_TYPE`: a Flask route that answers the bytes of a file.

What it costs is what gunicorn, HTTP and Flask cost before anybody has thought about the request.
"""

import sys
from pathlib import Path

from flask import Flask, Response, request

from tests.benchmarks.bridge import PATH
from tests.benchmarks.serving import serve


def app_of(answer: bytes, status: int, content_type: str) -> Flask:
    """The application: a GET is answered at once, of a POST or PATCH the body is read first."""
    app = Flask("bare")

    @app.get(PATH)
    @app.get(f"{PATH}/<user_id>")
    def found(user_id: str = "") -> Response:
        return Response(answer, status, content_type=content_type)

    @app.post(PATH)
    def created() -> Response:
        request.get_data()
        return Response(answer, status, content_type=content_type)

    @app.patch(f"{PATH}/<user_id>")
    def changed(user_id: str) -> Response:
        return created()

    return app


if __name__ == "__main__":
    file, status, content_type = sys.argv[1:]
    app = app_of(Path(file).read_bytes(), int(status), content_type)
    serve(lambda: app)
