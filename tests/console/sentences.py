"""The sentences of the bridge that are told in English: read out of the code that makes them.

A sentence is a text, or a text with places (`f"{who} has left"`). The places have the names of what stands in them.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import scim_bridge

SOURCES = (
    "certificates/entries.py",
    "delivery/attempt.py",
    "delivery/breaker.py",
    "delivery/certificates.py",
    "delivery/claims.py",
    "delivery/create.py",
    "delivery/deliver.py",
    "delivery/guard.py",
    "delivery/plan_rows.py",
    "delivery/stale_claims.py",
    "delivery/undo.py",
    "delivery/update.py",
    "ditio/answers.py",
    "ditio/client.py",
    "ditio/token.py",
    "domain/breaker.py",
    "domain/certificate.py",
    "domain/outcome.py",
    "domain/values.py",
    "http/exchange.py",
    "http/limiter.py",
    "http/session.py",
    "operator/waiting.py",
    "plan/absence.py",
    "plan/drift.py",
    "plan/limits.py",
    "plan/matching.py",
    "reconcile/apply.py",
    "reconcile/certificates.py",
    "reconcile/compare.py",
    "reconcile/entra_apply.py",
    "reconcile/entra_compare.py",
    "scim/mapping.py",
    "storage/outbox.py",
    "storage/runs.py",
)
"""The modules that make what is stored or shown as a detail; texts of other modules are for commands and logs."""

CHECKS: Mapping[str, tuple[str, ...]] = {
    "adopt/decide.py": ("_another", "_contradiction", "_name", "_unknown", "_why_not"),
    "adopt/run.py": ("_renumbered",),
    "certificates/csv_import.py": (),
    "certificates/files.py": (),
    "certificates/reading.py": (
        "WAYS_IN",
        "_ORDER",
        "_day",
        "_text",
        "called",
        "certificate_from",
        "described",
        "ending",
        "lost_to",
        "number_from",
    ),
    "certificates/workbook.py": (),
    "doctor/checks.py": (),
    "doctor/database.py": (),
    "doctor/entra.py": (),
    "domain/entra.py": (),
    "graph/answers.py": (),
    "graph/client.py": (),
    "graph/directory.py": (),
    "graph/token.py": (),
    "http/keys.py": (),
    "notify/channels.py": ("_code_in", "_why", "send"),
    "operator/certificate_import.py": (),
    "operator/preview.py": (),
    "settings/entra.py": ("foreign", "missing"),
    "settings/load.py": ("_same", "shared_logins"),
    "settings/model.py": ("missing", "missing_for_entra"),
    "settings/sections.py": ("missing", "unpinned"),
    "storage/schema.py": ("_refuse_unreadable", "require_current", "told_missing"),
    "storage/sqlite_file.py": ("RESTORE", "__init__", "damage_in"),
    "storage/trouble.py": (),
}
"""The modules that make what the doctor finds, what is wrong with a file or a pair, and what Graph answers; and which
functions and names of them, if not all. They may use the sentences of the others too."""

ELSEWHERE = ("AssertionError", "NotFound", "SettingsError", "TypeError", "WrongUsage", "LeaseLost", "Explanation")
"""What is built from other texts: faults of the code, answers to commands; explanations are in the other catalogue."""

LEAST_LETTERS = 6
"""A text with fewer letters beside its places only joins sentences."""

FOR_COMMANDS = {
    # What `notify test` prints.
    "accepted ({status})",
    "accepted, except for {len} of {len2} recipients",
    # Of schemas, settings and reports, which no page shows.
    "Certificate {type}: number;issued;validUntil;notes, the days as yyyy-MM-dd",
    "Certificate {type}: {what}",
    "the number",
    "the day it was issued, as yyyy-MM-dd",
    "the last day it is valid, as yyyy-MM-dd",
    '{where} is not a list of texts: write a list of SCIM attribute paths, as in ["userName"]',
    '{where} is not a table: write one with "from" and "owner"',
    "{where} is not known here: write one of {names}",
    "differences that do not count yet: {pending}. Entra may still send them {when}",
    "with its next cycle",
    "within three hours",
    "why Entra may not have sent that users left: {why}",
    "{doubt}: no user counts as unassigned",
    "{users} is not granted for certain: no value counts as cleared",
    "{leave_dates} is not granted: no leave date counts as cleared",
    "the provisioning job may not be read: the mapping is taken to be the one that `entra schema` prints",
    # Not sentences: types, forms of instants and of attributes, a header.
    "%Y-%m-%d %H:%M:%S",
    "Bearer {token}",
    "Bearer …",
    "Callable[[], ScimProvider] | None",
    "_Now | str",
    "Microsoft Graph",
    "PRAGMA quick_check(1)",
    "PRIVATE KEY",
    "sourceIdentity/id eq '{object_id}'",
    "only a POST fails on an entry of the same source",
    "{name}[primary eq true].value",
    '{name}[type eq "{kind}"].value',
}
"""What the sources have beside the sentences."""


def told() -> set[str]:
    """Every sentence that is stored or shown as a detail."""
    return {each for source in SOURCES for each in _sentences(_tree(source))}


def of_checks() -> set[str]:
    """Every sentence of the checks that is not also one of the others."""
    found = {each for source, names in CHECKS.items() for part in _parts(source, names) for each in _sentences(part)}
    return found - told()


def _tree(source: str) -> ast.Module:
    return ast.parse((Path(scim_bridge.__file__).parent / source).read_text(encoding="utf-8"))


def _parts(source: str, names: Iterable[str]) -> Iterator[ast.AST]:
    tree = _tree(source)
    if not names:
        yield tree
    for each in ast.walk(tree):
        match each:
            case ast.FunctionDef(name=name) | ast.Assign(targets=[ast.Name(id=name)]) if name in names:
                yield each


def _sentences(tree: ast.AST) -> Iterator[str]:
    for node in _told_nodes(tree):
        text = _template(node)
        letters = sum(part.isalpha() for part in _literals(node))
        if " " in text.strip() and letters >= LEAST_LETTERS:
            yield text


def _told_nodes(node: ast.AST) -> Iterator[ast.JoinedStr | ast.Constant]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Expr(value=ast.Constant()) | ast.AnnAssign(value=None):
                continue
            case ast.Call(func=ast.Name(id=name)) if name in (*ELSEWHERE, "cast"):
                continue
            case ast.Assign(targets=[ast.Name(id=name)]) if name in NO_SENTENCES:
                continue
            case ast.JoinedStr():
                yield child
                for value in child.values:  # A place may hold a sentence itself.
                    yield from _told_nodes(value) if isinstance(value, ast.FormattedValue) else ()
                continue
            case ast.Constant(value=str()):
                yield child
        yield from _told_nodes(child)


NO_SENTENCES = ("_INSTANT", "CHANGES", "_IN_ENTRA", "DEFAULT_SOURCES")
"""Patterns, names of attributes, and words that are in the catalogue of the pages."""


def _literals(node: ast.JoinedStr | ast.Constant) -> str:
    values = node.values if isinstance(node, ast.JoinedStr) else [node]
    return "".join(each.value for each in values if isinstance(each, ast.Constant) and isinstance(each.value, str))


def _template(node: ast.JoinedStr | ast.Constant) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    text, names = "", []
    for each in node.values:
        if isinstance(each, ast.Constant):
            text += str(each.value)
        elif isinstance(each, ast.FormattedValue):
            name = _name(each.value).strip("_").lower()
            names.append(name)
            text += f"{{{name}{names.count(name) if names.count(name) > 1 else ''}}}"
    return text


def _name(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Call(func=ast.Attribute(attr="join"), args=[first, *_]):
            return _name(first)
        case ast.Call(func=function):
            return _name(function)
        case ast.Subscript(value=value):
            return _name(value)
        case _:
            return "value"
