"""SCIM: the models that the bridge serves, the forms that only Entra sends, and reading a stored user. Pure."""
