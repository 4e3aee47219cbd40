"""How a model is understood: what it costs, what it sees, what it draws."""
