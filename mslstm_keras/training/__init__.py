"""How a model learns and is scored."""
