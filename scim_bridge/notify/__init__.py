"""Notices: messages to operators by webhook and mail, each once for its occasion, without names."""
