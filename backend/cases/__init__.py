"""What the city must do: the life of a case, its number, its deadline, its way to an agency."""
