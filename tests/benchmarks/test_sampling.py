"""From stacks to shares."""

import pytest

from tests.benchmarks.sampling import REST, STANDARD, Part, Stack, owner_of, shares, timed_and_sampled

LIBRARY = "/v/lib/python3.11/site-packages"
FLASK = (f"{LIBRARY}/flask/app.py", "Flask.__call__")
TOKEN = ("/p/scim_bridge/web/auth/bearer.py", "Bearer.authenticate")
EXECUTE = (f"{LIBRARY}/sqlalchemy/engine/base.py", "Connection.execute")
DRIVER = (f"{LIBRARY}/sqlalchemy/engine/default.py", "DefaultDialect.do_execute")


def test_a_sample_belongs_to_the_first_part_that_covers_it():
    """What the token check asks of the database is the token check's, and not the search's."""
    stacks: list[Stack] = [(FLASK, TOKEN, EXECUTE), (FLASK, TOKEN, EXECUTE, DRIVER), (FLASK, EXECUTE), (FLASK,)]
    parts = [Part("token", (("auth/bearer.py", "Bearer.authenticate"),)), Part("SQL", (("base.py", EXECUTE[1]),))]

    steps, code = shares(8.0, parts, stacks)

    assert [(step.name, step.share, step.milliseconds) for step in steps] == [
        ("token", 0.5, 4.0),
        ("SQL", 0.25, 2.0),
        (REST, 0.25, 2.0),
    ]
    assert steps[0].mostly == "SQLAlchemy 50%, database driver 50%"
    assert dict(code) == {"SQLAlchemy": 0.5, "database driver": 0.25, "Flask, Werkzeug": 0.25}


@pytest.mark.parametrize(
    ("innermost", "owner"),
    [
        (DRIVER, "database driver"),
        ((f"{LIBRARY}/psycopg/cursor.py", "Cursor.execute"), "database driver"),
        ((f"{LIBRARY}/pydantic/main.py", "BaseModel.model_validate"), "scim2-models, pydantic"),
        (("/usr/lib/python3.11/json/encoder.py", "JSONEncoder.encode"), "json"),
        # The standard library works for whoever calls it.
        (("/usr/lib/python3.11/copy.py", "deepcopy"), "Flask, Werkzeug"),
    ],
)
def test_whose_code_runs(innermost: tuple[str, str], owner: str):
    assert owner_of((FLASK, innermost)) == owner


def test_code_of_no_one_known_is_the_standard_library():
    assert owner_of((("/usr/lib/python3.11/threading.py", "Thread.run"),)) == STANDARD


def test_samples_are_taken_inside_the_request_only():
    """A request that does nothing but count is seen counting, and its caller is not seen."""

    def request() -> None:
        sum(each for each in range(20_000))

    checked = timed_and_sampled(request, seconds=0.1, within=(__file__, request.__qualname__))

    assert checked.milliseconds > 0
    assert checked.cpu_ms > 0
    assert checked.stacks
    assert all((__file__, request.__qualname__) in stack for stack in checked.stacks)
