"""From an accepted SCIM write to an employee in Ditio that equals it."""
