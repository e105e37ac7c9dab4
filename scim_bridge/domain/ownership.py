"""Who decides what a field holds once the employee exists (rule H5)."""

from enum import StrEnum


class Owner(StrEnum):
    """Whose word counts for one field."""

    entra = "entra"
    """Sent whenever it differs."""

    seed = "seed"
    """Sent at creation, or where Ditio has none; then it is Ditio's."""

    ditio = "ditio"
    """Never sent."""
