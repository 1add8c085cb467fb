"""What ends a run and not one task: our own broken invariants, and a network that cannot compute,
which is the same one for all inputs. Every other `Exception` costs the task it is raised for.
"""

from sr.tiling.runner import CompileError, NetworkError

ENDS_RUN = (AssertionError, CompileError, NetworkError)
