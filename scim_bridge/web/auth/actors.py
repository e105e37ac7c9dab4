"""How the audit trail names whoever has signed in: by ids."""

from scim_bridge.domain.audit import Actor, ActorKind
from scim_bridge.storage.access_tokens import AccessToken
from scim_bridge.storage.tokens import Token
from scim_bridge.web.auth.bearer import Caller, EntraItself
from scim_bridge.web.auth.workload import PREFIX


def actor_of(caller: Caller) -> Actor:
    """Who acts, by whichever of the four ways."""
    match caller:
        case Token():
            return Actor(ActorKind.token, caller.id)
        case AccessToken(client_id=client_id) if client_id.startswith(PREFIX):
            return Actor(ActorKind.workload, client_id.removeprefix(PREFIX))
        case AccessToken():
            return Actor(ActorKind.client, caller.client_id)
        case EntraItself():
            return Actor(ActorKind.entra, caller.application)
