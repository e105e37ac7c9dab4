"""Which test process takes which test, and when: they share the tests, one by one.

The tests of `processes/` are one piece of work, because each of them starts several processes of its own. It is the
longest one, and begins at once: much of it is waiting. So there is one test process more than the two cores that a
machine has at least, and neither core waits.
"""

from typing import Any

from xdist.scheduler.loadscope import LoadScopeScheduling

ONE_PIECE = "tests/processes/"


class InTurn(LoadScopeScheduling):
    """The scheduler of pytest-xdist that gives out pieces of work, the largest first."""

    def _split_scope(self, nodeid: str) -> str:
        return ONE_PIECE if nodeid.startswith(ONE_PIECE) else nodeid

    def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:
        """Note it, and forget a piece that is done: all that a process was ever given is counted each time."""
        super().mark_test_complete(node, item_index, duration)
        given, done = self.assigned_work[node], self._split_scope(self.registered_collections[node][item_index])
        if all(given[done].values()):
            del given[done]
