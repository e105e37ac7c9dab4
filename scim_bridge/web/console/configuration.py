"""The page of the settings of one company: what is set, and where; secrets are never shown."""

from itertools import groupby

from flask import request

from scim_bridge.operator.settings import shown, warnings
from scim_bridge.web.console.place import Place


def show(place: Place) -> str:
    """Show the settings. Those that several companies share are no single company's to see."""
    is_all = request.args.get("all") == "1"
    is_alone = len(place.all_settings.tenants) == 1
    rows = [each for each in shown(place.settings, with_shared=is_alone) if is_all or each.is_set]
    return place.render(
        "settings.html",
        sections=[(name, list(some)) for name, some in groupby(rows, key=lambda each: each.section)],
        warnings=list(warnings(place.settings)),
        is_all=is_all,
        is_alone=is_alone,
    )
