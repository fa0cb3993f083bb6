"""What ends a measurement: a figure that is not earned is worse than none."""


class Failed(Exception):
    """Says who failed, and what its output was."""
