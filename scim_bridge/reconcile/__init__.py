"""Reconciliation: read everyone in Ditio, compare, plan, apply (rules Q1-Q5)."""
