"""The first day: users and employees that exist already become people."""
