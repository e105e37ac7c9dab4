"""Ditio over HTTP: tokens, an authenticated session, and the employees v5 calls."""
