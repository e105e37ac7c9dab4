"""Certificates: three sources, one ledger, one call to Ditio (rules K1-K6)."""
