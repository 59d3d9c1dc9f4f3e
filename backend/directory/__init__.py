"""Who belongs to the city: agencies, categories, staff and their roles."""
