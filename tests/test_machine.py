"""What a process takes of the machine."""

import platform
import subprocess
import sys

import pytest

CODE = """
import resource
import numpy as np
from recbench.machine import keep_freed_memory

def fetched():
    begin = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        first = np.ones(1 << 19)
        second = first + 1
        del first, second
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - begin

before = fetched()
keep_freed_memory()
fetched()
print(before, fetched())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc can be told")
def test_freed_memory_is_used_again_instead_of_fetched_anew():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert before > 1000 and after < before / 20
