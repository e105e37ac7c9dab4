"""The pure mapping between SCIM users and Ditio employees."""
