"""SCIM: the models that the bridge serves, what only Entra sends, and how a stored document is read. Pure."""
