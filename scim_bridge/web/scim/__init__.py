"""The SCIM 2.0 endpoints: the only package that imports the protocol server."""
