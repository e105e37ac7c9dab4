"""`scim-bridge adopt`."""
