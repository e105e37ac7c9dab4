"""`scim-bridge certificates`: import them from a file, and see which are about to end."""
