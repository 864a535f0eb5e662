"""Freed memory that the C library keeps for the next call.

glibc hands the end of its heap back to the system where more than twice the largest block that it
ever returned lies free there. A network of small tensors never had a large one: each step of its
training returns all memory and gets it again, zeroed by the system, a page fault for each 4 KiB (of
LeNet-5's step with 64 images a quarter of the time). After one large block up to 64 MiB stay.

Source: mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD. Where the environment sets these, glibc
goes by what it says; other C libraries do not mind.
"""

from functools import cache

import torch

LARGEST = (32 << 20) - (64 << 10)  # bytes; glibc learns from blocks up to 32 MiB, with their ends


@cache
def keep_freed() -> None:
    """Make glibc keep up to 64 MiB of freed memory, once in this process.

    The block is never touched, so that it is address space and not memory.
    """
    torch.empty(LARGEST, dtype=torch.uint8)
