"""Reading handwritten characters: data, model, training, report and prediction."""
