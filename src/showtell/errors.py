"""The exceptions a user can meet.

Every message says what is wrong and where, with the value; what is expected; and what to run. The command
line prints it without a traceback and exits with ``exit_status``: 2, and 3 for a training that did all that
it was asked to, with a model that is not known to have learnt anything.
"""


class ShowtellError(Exception):
    """Anything the user can mend.

    Args:
        what: One sentence: what is wrong, where, with the offending value.
        hint: One sentence: what is expected instead.
        run: A command that helps, without a prompt sign.
    """

    exit_status = 2

    def __init__(self, what: str, *, hint: str = "", run: str = "") -> None:
        self.what = what
        self.hint = hint
        self.run = run
        super().__init__(what, hint, run)

    def __str__(self) -> str:
        parts = [self.what, self.hint, f"Run: {self.run}" if self.run else ""]
        return "\n".join(part for part in parts if part)


class DataError(ShowtellError):
    """A table, folder or caption that cannot be used."""


class ImageError(ShowtellError):
    """An image that cannot be read; extraction quarantines it, prediction reports it."""


class WeightsError(ShowtellError):
    """Pretrained weights that are missing, unreadable or do not fit the network."""


class StoreError(ShowtellError):
    """A feature store that is full, locked, or was made otherwise than asked for."""


class WorkerError(ShowtellError):
    """Workers of another process that cannot be had, cannot go on, or die again and again."""


class ModelError(ShowtellError):
    """A run or model folder that is missing, incomplete or does not match."""


class ConfigError(ShowtellError):
    """A setting outside its range, or settings that contradict each other."""


class ProcessesError(ShowtellError):
    """Other processes of the same training, which cannot be found or have ended."""


class NotLearntError(ShowtellError):
    """A training that ended with a model not known to have learnt anything; the run is kept, whole."""

    exit_status = 3


class HubError(ShowtellError):
    """The Hugging Face Hub, which cannot be reached or refuses, or what it holds, which cannot be used."""


class MissingExtraError(ShowtellError):
    """An optional dependency that is not installed; the message names the extra."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package}, which is not installed.",
            run=f"pip install 'showtell[{extra}]'",
        )
