"""Freed memory that the C library keeps for the next call.

glibc hands the end of its heap back to the system where more than twice the largest block that it
ever returned lies free there. A network of small tensors never had a large one: each step of its
training returns all memory and gets it again, zeroed by the system, a page fault for each 4 KiB (of
LeNet-5's step with 64 images a quarter of the time). After one large block up to 64 MiB stay, in
the heap of each thread that had freed so much.

Source: mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD. Where the environment sets these, glibc
goes by what it says; other C libraries do not mind.
"""

import ctypes
import sys
from functools import cache

LARGEST = (32 << 20) - (64 << 10)  # bytes; glibc learns from blocks up to 32 MiB, with their ends


@cache
def keep_freed() -> None:
    """Make glibc keep up to 64 MiB of freed memory a heap, once in this process.

    The block is never touched, so that it is address space and not memory; where there is none
    left, nothing happens.
    """
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    library.malloc.argtypes, library.malloc.restype = (ctypes.c_size_t,), ctypes.c_void_p
    library.free.argtypes, library.free.restype = (ctypes.c_void_p,), None
    library.free(library.malloc(LARGEST))
