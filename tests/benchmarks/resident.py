"""How much memory another process is resident with at most.

What the kernel tells of a process that has ended counts the one that started it, too, until it was replaced.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EVERY_SECONDS = 0.05

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


@contextmanager
def resident(pid: int) -> Iterator[list[float]]:
    """Look again and again while the context lasts; yields what was seen last, the most until then, in megabytes."""
    status, seen, is_over = Path(f"/proc/{pid}/status"), [0.0], threading.Event()

    def look() -> None:
        while not is_over.wait(EVERY_SECONDS):
            try:
                found = _PEAK.search(status.read_text(encoding="utf-8"))
            except (FileNotFoundError, ProcessLookupError):
                return
            if found is not None:
                seen[0] = int(found[1]) / 1024

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield seen
    finally:
        is_over.set()
        looking.join()
