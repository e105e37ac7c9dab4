"""deploy/SECURITY.md: every test that it names is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "deploy" / "SECURITY.md").read_text("utf-8")


def test_every_promise_names_a_test_that_exists():
    """A promise no one tests is none."""
    section = PAGE.split("## What is promised")[1].split("\n## ")[0]
    promises = [line for line in section.splitlines() if line.startswith("| ") and not line.startswith("| Promise")]
    assert len(promises) > 5
    for promise in promises:
        assert "`tests/" in promise, promise
    for name in re.findall(r"`(tests/[\w/.]+)`", PAGE):
        path = ROOT / name
        assert path.is_file(), name
        assert re.search(r"def (test_|looked_through)", path.read_text("utf-8")), name


def test_the_form_of_a_secret_is_the_one_that_is_tested():
    """A person copies it into a scanner."""
    tested = (ROOT / "tests" / "storage" / "test_credentials.py").read_text("utf-8")
    (form,) = re.findall(r'SCANNED = r"([^"]+)"', tested)
    assert form.replace("|", r"\|") in PAGE
    assert form in (ROOT / "docs" / "operating.md").read_text("utf-8")
