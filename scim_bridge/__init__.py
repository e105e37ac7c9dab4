"""A SCIM 2.0 server that Microsoft Entra ID provisions into, delivering each person to Ditio."""
