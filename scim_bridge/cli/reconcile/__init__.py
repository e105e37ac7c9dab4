"""`scim-bridge reconcile`."""
