"""A simulated Ditio and a simulated Entra: real doubles, for the demo, for experiments and for the tests.

Both are written from the public documentation, not from the bridge, and import nothing of it.
Behaviour that the documentation leaves open is a parameter of `style.Style`.
"""
