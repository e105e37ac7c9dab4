"""People who are in Ditio already, as a delivery leaves them, and Ditio's list of them."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import requests
from flask import Flask

from scim_bridge.bootstrap import build
from scim_bridge.sandbox.ditio import SandboxDitio
from scim_bridge.sandbox.documents import employee_document
from scim_bridge.sandbox.server import WsgiTransport
from scim_bridge.sandbox.style import Style
from scim_bridge.settings import Settings
from scim_bridge.storage.database import Database
from scim_bridge.web.app import create_app
from tests.benchmarks.bridge import post_user_with_certificates
from tests.benchmarks.people import digits
from tests.benchmarks.preparing import PATTERN_NUMBER, Pattern, pattern_in

DITIO = "https://ditio.invalid"
TITLE = '"Maskinfører"'
EDITED_TITLE = '"Formann"'


def delivered_pattern_in(folder: Path) -> tuple[Pattern, str]:
    """The rows of a person who was hired while his request waited, two certificates included, and himself in JSON.

    The JSON is the employee as Ditio lists him.
    """
    ditio = SandboxDitio(now=lambda: datetime.now(UTC), random=random.Random(0))

    def session() -> requests.Session:
        opened = requests.Session()
        opened.mount(DITIO, WsgiTransport(ditio.app))
        return opened

    def app_for(database: Database) -> Flask:
        settings = Settings.model_validate(
            {
                "server": {"base_url": "http://127.0.0.1"},
                "ditio": {
                    "api_url": f"{DITIO}/core",
                    "identity_url": DITIO,
                    "client_id": "sandbox",
                    "client_secret": "sandbox-secret",
                },
            }
        )
        return create_app(build(settings, database=database, session_factory=session))

    pattern = pattern_in(folder, app_for, post_user_with_certificates)
    employee = ditio.company.employees[digits(PATTERN_NUMBER)]
    shown = employee_document(employee, Style(), frozenset({"employment-history"}))
    return pattern, json.dumps(shown, ensure_ascii=False)


def listed(employee: str, count: int, *, edited_every: int) -> Iterator[bytes]:
    """Ditio's list of so many employees, piece by piece. :param edited_every: Who has another title; 0: no one."""
    unique = digits(PATTERN_NUMBER)
    yield b"["
    for number in range(1, count + 1):
        text = employee.replace(unique, digits(number))
        if edited_every and number % edited_every == 0:
            text = text.replace(TITLE, EDITED_TITLE)
        yield ("," * (number > 1) + text).encode()
    yield b"]"
