"""Real traffic: every published exchange, on both databases."""

import json
from pathlib import Path

import pytest

from tests.protocol.exchanges import Exchange

SAMPLES = json.loads((Path(__file__).parent.parent / "samples" / "entra-exchanges.json").read_text())


@pytest.mark.parametrize("scenario", SAMPLES, ids=[scenario["id"] for scenario in SAMPLES])
@pytest.mark.parametrize("patch_status", [200, 204])
def test_the_bridge_answers_as_entra_expects(scim, scenario, patch_status):
    """The scenario's `title` says what it is about."""
    scim.patch_status = patch_status

    def send(request):
        headers = dict(request.get("headers") or {})
        if "Authorization" in headers:
            # Null sends none.
            scim.token = (headers.pop("Authorization") or "").removeprefix("Bearer ") or None
        body = request.get("body")
        more = {"data": json.dumps(body)} if body is not None else {}
        query = request.get("raw_query") or request.get("query")
        response = scim.send(request["method"], request["path"], headers=headers, query_string=query, **more)
        return response.status_code, response.get_json(silent=True, force=True), response.headers

    Exchange(scenario, send).run()
