"""The old name of `tlsgate_pulumi`, for stacks that were deployed under it.

Pulumi's state names a dynamic provider by module and class: `components.delivery.DeliveryProvider`.
`pulumi refresh` and `pulumi destroy` load that name, and an `up` that finds nothing to change
leaves it in the state. This package finds each such module in the folder of `tlsgate_pulumi`.
Nothing imports it by this name any more, and the wheel does not hold it.
"""

from pathlib import Path

__path__ = [str(Path(__file__).parent / "tlsgate_pulumi")]
