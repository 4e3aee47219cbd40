"""How a trained model is used: clips in, forecasts out, models shipped."""
