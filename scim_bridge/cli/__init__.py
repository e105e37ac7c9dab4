"""The commands: `scim-bridge …`."""
