"""What networks of other packages have in common behind the shapes of ours."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from torch import nn

NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})
FAULTS_OF_NETWORKS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What they raise, built with or given what they are not made for."""


class ForeignNetwork(nn.Module):
    """Holds a network of another package, whose state dict is its own, so files go both ways."""

    network: nn.Module

    def state_dict(self, *args: Any, **options: Any) -> Any:
        """Return their network's own, without a name before its names."""
        return self.network.state_dict(*args, **options)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load into their network."""
        return self.network.load_state_dict(state_dict, strict, assign)
