"""`scim-bridge doctor`: whether everything that the bridge stands on is sound, and the cure where it is not."""
