"""`python -m tests.benchmarks.in_memory USERS`: scim2-flask with its in-memory storage, holding the same people.

The same library and the same models as the bridge's; no token is asked for, and nothing outlives the process.
"""

import gc
import sys
from itertools import count
from secrets import token_hex
from typing import Any, cast

from flask import Flask
from scim2_flask import ScimServer
from scim2_models import Context, Meta, Resource
from scim2_server.memory import InMemoryStorage, utcnow

from scim_bridge.scim.provider import build_provider
from scim_bridge.settings import Settings
from tests.benchmarks.people import document
from tests.benchmarks.serving import serve


def app_with(users: int) -> Flask:
    """The application, holding so many people."""
    provider = build_provider(max_page_size=Settings().scim.max_page_size)
    user_type = next(each for each in provider.resource_types if each.name == "User")
    model = cast(type[Resource[Any]], provider.model_for(user_type))
    storage, ids = InMemoryStorage(), count(1)

    def stored(number: int) -> Resource[Any]:
        user = model.model_validate(document(number), scim_ctx=Context.RESOURCE_CREATION_REQUEST)
        now = utcnow()
        user.id = f"{next(ids):032x}"
        user.meta = Meta(resource_type="User", created=now, last_modified=now, version=storage.next_version())
        return user

    with provider:
        storage.resources = [stored(number) for number in range(1, users + 1)]
    app = Flask("in_memory")
    # Cursors, where the bridge offers them, are sealed with it.
    app.secret_key = token_hex()
    ScimServer(storage, provider).init_app(app)
    return app


if __name__ == "__main__":
    # Made before gunicorn forks: a process that takes longer than its time-out to load would be ended.
    made = app_with(int(sys.argv[1]))
    # What is stored for good is not looked through again by every collection of garbage: its best case.
    gc.freeze()
    serve(lambda: made)
