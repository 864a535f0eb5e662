"""Problem → plan → machine code; knows nothing of torch."""
