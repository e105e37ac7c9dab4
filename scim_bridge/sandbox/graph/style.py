"""How the simulated Graph behaves where Microsoft's documentation is silent, or contradicts itself."""

from __future__ import annotations

from dataclasses import dataclass

NEVER = "0001-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class GraphStyle:
    """One way in which Graph may answer. What is not documented, or was only reported, is a parameter."""

    most_users: int = 999
    """The largest `$top`; more is refused."""

    default_top: int = 100
    """How many rows a page has without `$top`."""

    loses_rows_without_top: bool = True
    """Whether the assignments, asked without `$top`, end after one page as if there were no more (reported)."""

    empty_pages: str = "none"
    """`none`; `middle`: an empty page with a nextLink follows the first one; `last`: the last page is empty."""

    ends_early: bool = False
    """Whether each list ends after a full first page, as if there were no more."""

    links_to: str | None = None
    """Where nextLink and deltaLink lead, for example another host; None: to the host that was asked."""

    expand_manager: str = "yes"
    """`$expand=manager($select=id)` in a list: `yes`, `400`, or `ignored`."""

    delta_manager: str = "delta"
    """Manager in a delta: `delta` (a list `manager@delta`), `object` (as `$expand` shows it), or `none`."""

    not_read: frozenset[str] = frozenset()
    """Properties that `$select` names in vain: no row has them."""

    basic_read: str = "null"
    """What `User.ReadBasic.All` gives of the other properties: `null`, or `absent`."""

    leave_time: str = "23:59:59Z"
    """Time of day of `employeeLeaveDateTime`, where the directory has only a day."""

    hidden_members: str = "empty"
    """The members of a group with hidden membership, without `Member.Read.Hidden`: `empty`, or `ids`."""

    assignment_lag: int = 0
    """How many reads after a change still show the assignments as before (replication)."""

    count_error: int = 0
    """How far `/users/$count` is off: its index lags."""

    delta_page: int = 200
    """The most rows on a page of a delta."""

    delta_lag_seconds: float = 0.0
    """How long a change takes until a delta shows it."""

    delta_repeats: bool = False
    """Whether a delta shows a row twice on a page, and the last change once more in the next round."""

    delta_expired: str = "410"
    """The answer to a mark that is too old: `410`, or `400` with `syncStateNotFound`."""

    sync_refusal: int = 401
    """Status of a missing permission for jobs: 401 `UnknownError` without a message, or 403."""

    no_job: str = "empty"
    """The jobs of an application without provisioning: `empty`, or `404`."""

    never: str | None = NEVER
    """A time that never was, in a job's status: the year 1, an empty text, or null."""

    progress: bool = True
    """Whether a job's status has `progress`."""

    escrow_state: str = "Succeeded"
    """The state of a run in which single users failed: `Succeeded`, or `EntryLevelErrors`."""

    target_object: str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
    """The name of the target object in the schema; elsewhere it is `User`."""

    secrets: str = "shown"
    """Whether an application may read the job's `secrets`: `shown`, or `refused`."""

    connections: bool = True
    """Whether the application has the (beta) object connections."""

    log_form: str = "object"
    """The rows of the provisioning log, as the `object` examples have them, or as the `list` in the type."""

    on_demand: str = "json"
    """The answer to provisionOnDemand: `json` (the verdict in `key`), or `constant` (steps in `value`)."""

    throttles: bool = True
    """Whether Microsoft's limits hold: units in ten seconds, five calls for reports."""

    retry_after: bool = True
    """Whether a 429 says for how long to wait."""

    @property
    def name(self) -> str:
        """Return what differs from the default style, for a test's id."""
        usual = GraphStyle()
        names = [name for name in self.__slots__ if getattr(self, name) != getattr(usual, name)]
        return "-".join(f"{name}={getattr(self, name)}" for name in names) or "default"


def reported_styles() -> list[GraphStyle]:
    """Return a few styles that together show every form that was documented or reported."""
    return [
        GraphStyle(),
        GraphStyle(empty_pages="middle", expand_manager="400", delta_manager="object", log_form="list"),
        GraphStyle(empty_pages="last", expand_manager="ignored", delta_repeats=True, never="", progress=False),
        GraphStyle(default_top=2, hidden_members="ids", basic_read="absent", never=None, sync_refusal=403),
        GraphStyle(delta_expired="400", no_job="404", secrets="refused", retry_after=False, target_object="User"),
        GraphStyle(connections=False, escrow_state="EntryLevelErrors", on_demand="constant", delta_manager="none"),
    ]
