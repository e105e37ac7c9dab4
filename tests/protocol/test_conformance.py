"""A conformance run of somebody else's: every check of scim2-tester."""

import pytest

scim2_tester = pytest.importorskip("scim2_tester")
wsgi = pytest.importorskip("scim2_client.engines.wsgi")


def test_no_check_of_scim2_tester_fails(scim):
    """RFC 7643 and 7644, as scim2-tester reads them."""
    client = wsgi.WSGISCIMClient(
        scim.app(), base_url="http://localhost/scim/v2", headers={"Authorization": f"Bearer {scim.token}"}
    )
    results = scim2_tester.check_server(client)

    failed = [
        (result.title, result.reason)
        for result in results
        if result.status not in (scim2_tester.Status.SUCCESS, scim2_tester.Status.SKIPPED)
    ]
    assert failed == []
    assert len(results) > 100
