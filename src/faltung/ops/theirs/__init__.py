"""Torch's own operators under our semantics: padding a side, flipped kernels, minima.

Where torch's operator takes the problem as it is, it gets it as it is. Otherwise the input is
framed explicitly (padding that torch cannot express becomes part of the tensor) and the result is
cropped.
"""
