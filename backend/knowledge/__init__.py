"""What the city can answer: articles, search with a verdict, gaps."""
