"""The settings of notices: what goes together, which form a webhook gets, and what is a secret."""

import json

import pytest

from scim_bridge.settings import effective, load
from scim_bridge.settings.model import Notify, WebhookForm

URL = "https://hooks.example.com/services/a-secret-part"


def notify(**environ: str) -> Notify:
    return load(environ={f"SCIM_BRIDGE_NOTIFY__{name}": text for name, text in environ.items()}).notify


@pytest.mark.parametrize(
    ("url", "form"),
    [
        ("https://hooks.slack.com/services/T/B/x", "slack"),
        ("https://prod-23.westeurope.logic.azure.com:443/workflows/x/triggers/manual/paths/invoke?sig=x", "teams"),
        ("https://default1.2f.environment.api.powerplatform.com:443/powerautomate/x?sig=x", "teams"),
        ("https://contractor.webhook.office.com/webhookb2/x", "teams"),
        (URL, "json"),
        ("https://hooks.slack.com.example.com/x", "json"),
        ("https://not-logic.azure.com.example.com/x", "json"),
        ("http://127.0.0.1:9/hooks.slack.com", "json"),
    ],
)
def test_the_form_of_a_webhook_follows_its_host(url: str, form: WebhookForm):
    """Only hosts that no other service has; the setting decides in any case."""
    assert notify(WEBHOOK_URL=url).webhook_form() == form
    assert notify(WEBHOOK_URL=url, WEBHOOK_FORMAT="teams").webhook_form() == "teams"


def test_secrets_are_not_shown():
    """The address of a webhook is one: it has a token."""
    settings = load(environ={"SCIM_BRIDGE_NOTIFY__WEBHOOK_URL": URL, "SCIM_BRIDGE_NOTIFY__SMTP_PASSWORD": "a-password"})
    shown = json.dumps(effective(settings)) + repr(settings)
    assert "a-secret-part" not in shown
    assert "a-password" not in shown
    with pytest.raises(Exception, match="NOTIFY__WEBHOOK_URL") as found:
        notify(WEBHOOK_URL="http://hooks.example.com/a-secret-part")
    assert "a-secret-part" not in str(found.value)


MAIL = {"SMTP_HOST": "smtp.example.com", "SMTP_FROM": "bridge@example.com", "SMTP_TO": '["ops@example.com"]'}


@pytest.mark.parametrize(
    ("environ", "missing"),
    [
        ({}, []),
        ({"WEBHOOK_URL": URL}, []),
        (MAIL, []),
        ({**MAIL, "SMTP_USERNAME": "bridge", "SMTP_PASSWORD": "a-password"}, []),
        ({**MAIL, "SMTP_HOST": "127.0.0.1", "SMTP_TLS": "none", "SMTP_USERNAME": "b", "SMTP_PASSWORD": "pass"}, []),
        ({"SMTP_HOST": "smtp.example.com"}, ["SMTP_FROM", "SMTP_TO"]),
        ({"SMTP_TO": '["ops@example.com"]'}, ["SMTP_HOST", "SMTP_FROM"]),
        ({"SMTP_PASSWORD": "a-password"}, ["SMTP_HOST", "SMTP_FROM", "SMTP_TO", "SMTP_USERNAME"]),
        ({**MAIL, "SMTP_USERNAME": "bridge"}, ["SMTP_PASSWORD"]),
        ({**MAIL, "SMTP_TLS": "none", "SMTP_USERNAME": "bridge", "SMTP_PASSWORD": "a-password"}, ["SMTP_TLS"]),
    ],
)
def test_what_mail_needs_is_named(environ: dict[str, str], missing: list[str]):
    """And a password goes to another machine over TLS only."""
    told = notify(**environ).missing()
    assert [name for line in told for name in missing if f"(SCIM_BRIDGE_NOTIFY__{name})" in line] == missing
    assert len(told) == len(missing)
