"""From SCIM users to Ditio employees and back from Ditio's answers. Pure: values in, values out."""
