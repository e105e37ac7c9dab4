"""Ditio over HTTP: tokens, one authenticated session, and the employees v5 calls."""
