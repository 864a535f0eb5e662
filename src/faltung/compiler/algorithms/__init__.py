"""One file an algorithm; what several need is in `panel`, `tile` and `output`."""
