"""A simulated Microsoft Graph over the directory and the provisioning job of the simulated Entra.

Written from Microsoft's documentation and public reports. What these leave open is a parameter of `style.GraphStyle`.
"""
