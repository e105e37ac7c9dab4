"""What PATCH means to others: the recorded answers of npm's scim-patch, and where the bridge differs, and why.

`tests/samples/patch-oracle.mjs` makes the documents, asks the library and writes its answers; here only these are read.
"""

import copy
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.protocol.conftest import Scim
from tests.protocol.patch_model import ENTERPRISE, normal

ORACLE = json.loads((Path(__file__).parents[1] / "samples" / "patch-oracle.json").read_text(encoding="utf-8"))

CUT_URN = ENTERPRISE.rpartition(":")[0]
"""Where the library puts the attributes of an extension that a value without a path names: it cuts the URN in two."""

EXPECTED = {"equal": 90, "part-kept": 5, "urn": 5, "made": 8, "nothing": 5, "once": 2}
"""How many operations there are of each kind: equal, or different for one of the reasons in `differing`."""

Document = dict[str, Any]


def operations() -> Iterator[tuple[str, str, Document, Document]]:
    """Each recorded operation by itself: tenant, endpoint, document before, and what the library answered."""
    for case in ORACLE["cases"]:
        before = case["document"]
        for number, step in enumerate(case["steps"]):
            yield f"{case['id']}-{number}", f"/{case['kind']}s", before, step
            before = step.get("result", before)


def told(resource: Document) -> str:
    return normal({name: each for name, each in resource.items() if name not in ("schemas", "id", "meta", CUT_URN)})


def differing(before: Document, step: Document) -> tuple[str, Document] | None:
    """Why the bridge does otherwise, and what it has to do then; None where both have to agree."""
    operation = step["operation"]
    after, value = copy.deepcopy(before), operation.get("value")
    path = operation.get("path")
    if path is None and ENTERPRISE in value:
        # A fault of the library's: it takes the dots of the URN for a path.
        after[ENTERPRISE] |= value[ENTERPRISE]
        return "urn", after
    if path is None and "name" in value and set(before.get("name", ())) - set(value["name"]):
        # RFC 7644 §3.5.2.3: of a complex attribute the parts that the value names are replaced, others stay.
        after |= {**value, "name": {**before["name"], **value["name"]}}
        return "part-kept", after
    if path is None and _ids(value) & _ids(before):
        # RFC 7644 §3.5.2.1: a value that is there is not added again. With a path the library knows, too.
        after |= {**value, "members": before["members"]}
        return "once", after
    if "error" not in step and told(step["result"]) != told(before):
        return None
    if operation["op"] == "remove" and "error" in step:
        # Nothing to remove: Entra may say again what was done, and a failure would be tried for ever.
        return "nothing", after
    if operation["op"] != "remove" and path is not None and path.endswith("]"):
        name, _, selection = path[:-1].partition("[")
        if not any(entry["type"] == value["type"] for entry in before.get(name, ())):
            # Entra's fact: a filtered path whose entry is missing creates it. The library makes one of a part alone.
            assert json.loads(selection.removeprefix("type eq ")) == value["type"]
            after[name] = [*before.get(name, ()), value]
            return "made", after
    return None


def _ids(holder: Document) -> set[str]:
    return {each["value"] for each in holder.get("members", ())}


def test_the_bridge_does_what_a_public_library_does_or_differs_for_a_reason(scim: Scim):
    """RFC 7644 §3.5.2: 47 random documents, in operations one by one; each difference is one that is explained."""
    found: Counter[str] = Counter()
    assert len(ORACLE["cases"]) == 47
    for tenant, endpoint, before, step in operations():
        base = f"/tenants/{tenant}/scim/v2"
        created = scim.send("POST", endpoint, base=base, json=before)
        assert created.status_code == 201, created.text
        path = f"{endpoint}/{created.json['id']}"

        answer = scim.send("PATCH", path, base=base, json={"Operations": [step["operation"]]})

        assert answer.status_code == 200, f"{tenant}: {answer.text}"
        difference = differing(before, step)
        reason, expected = difference or ("equal", step.get("result"))
        assert expected is not None, f"{tenant}: the library refuses {step}"
        read = scim.send("GET", path, base=base).json
        assert told(read) == told(expected), f"{tenant}: {step['operation']} on {before}"
        if difference is not None:
            assert "error" in step or told(read) != told(step["result"]) or CUT_URN in step["result"], tenant
        found[reason] += 1
    assert found == EXPECTED
