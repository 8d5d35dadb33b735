"""Sizes of splits as people give them: a share of the images, or a count."""

from showtell.errors import ConfigError

DEFAULT_SIZE = 0.1
"""Share of the images in validation and in test, where nothing else is asked for."""


def check_sizes(
    val_size: float, test_size: float, count: int | None = None, *, least_val: float = 0.0
) -> None:
    """Refuse sizes of val and test that are neither shares nor counts, or leave nothing to train on.

    Args:
        val_size: A share below 1, or a count of images.
        test_size: The same.
        count: How many images there are; None where that is not known yet.
        least_val: What ``val_size`` must be above or at.

    Raises:
        ConfigError: Said in its message.
    """
    for flag, size in (("--val-size", val_size), ("--test-size", test_size)):
        if not (0 <= size < 1 or (size >= 1 and float(size).is_integer())):
            raise ConfigError(
                f"{flag} {size:g} is neither a share nor a count of images.",
                hint="Expected a share from 0 to below 1, such as 0.1, or a whole number, such as 50.",
            )
    if val_size < least_val:
        raise ConfigError(
            f"--val-size {val_size:g} leaves nothing to choose the model by.",
            hint="Expected a share above 0, such as 0.1, or a whole number, such as 50.",
        )
    shares = sum(size for size in (val_size, test_size) if size < 1)
    counts = sum(size for size in (val_size, test_size) if size >= 1)
    if shares > 1 - 1e-9 or (count and shares * count + counts >= count and (shares or counts)):
        what = "the images" if count is None else f"{count:,} images"
        raise ConfigError(
            f"--val-size {val_size:g} and --test-size {test_size:g} leave none of {what} to train on.",
            hint="Expected smaller ones: together less than all images.",
        )
