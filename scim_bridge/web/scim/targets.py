"""What a method and a path ask for; 404 and 405 in words for whoever set up the client."""

from collections.abc import Sequence

from scim2_models import NotFoundException, ResourceType
from scim2_server.errors import MethodNotAllowedException
from scim2_server.routing import RESERVED_NAMES, Target, match

from scim_bridge.scim.values import shown

_SEARCH = ".search"
_NOT_A_TYPE = RESERVED_NAMES | {_SEARCH}


def find_target(method: str, path: str, resource_types: Sequence[ResourceType]) -> Target:
    """The operation that a request, or an operation of a bulk request, asks for.

    :raises NotFoundException: nothing is served there, whatever the method.
    :raises MethodNotAllowedException: something is, but not by this method.
    """
    first, *rest = path.strip("/").split("/")
    if first and first not in _NOT_A_TYPE and first.casefold() not in _endpoints(resource_types):
        # The library answers 405 to a method that no resource type has, be there such a type or not.
        raise _nothing_there(path, resource_types)
    try:
        if rest == [_SEARCH] and method.upper() != "POST":
            # To the library it is the id of a resource.
            raise MethodNotAllowedException(allowed=["POST"])
        return match(method.upper(), path)
    except MethodNotAllowedException as exc:
        raise MethodNotAllowedException(
            allowed=exc.allowed,
            detail=f"{method[:20]} is not supported at {_shown(path)}: use {' or '.join(exc.allowed)}",
        ) from exc
    except NotFoundException as exc:
        raise _nothing_there(path, resource_types) from exc


def _endpoints(resource_types: Sequence[ResourceType]) -> dict[str, str]:
    """The endpoints of the types as their schema spells them, by how they are compared."""
    names = [str(each.endpoint).strip("/") for each in resource_types]
    return {name.casefold(): name for name in names}


def _shown(path: str) -> str:
    return shown(f"/{path.strip('/')}")


def _nothing_there(path: str, resource_types: Sequence[ResourceType]) -> NotFoundException:
    served = [f"/{name}" for name in (*_endpoints(resource_types).values(), *sorted(RESERVED_NAMES - {"Me"}))]
    return NotFoundException(
        detail=f"nothing is served at {_shown(path)}: there are {', '.join(served)}, and /Users/{{id}} for one user; "
        "in Entra, check that the Tenant URL ends with /scim/v2"
    )
