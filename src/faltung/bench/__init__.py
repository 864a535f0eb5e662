"""The benchmark: our kernels and their peers on layers and on whole networks, in turns."""
