"""Commands that keep running: the HTTP API, and the page for people on top of it."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from showtell.errors import ConfigError
from showtell.settings import Maybe, Runs, Settings, above_zero, at_least, at_most


@dataclass(frozen=True)
class Serve(Settings):
    """Caption or classify images over HTTP.

    Example: showtell serve runs/mine --port 8000

    Example: showtell serve runs/mine runs/cats --host 0.0.0.0 --token SECRET
    """

    runs: Runs
    """Folders of runs or models; or timm networks, for ImageNet's classes. The first answers by default."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 accepts connections from other machines."""
    port: int = 8000
    """Port to listen on; 0 takes a free one."""
    token: Maybe[str] = None
    """Token that a client must send as "Authorization: Bearer TOKEN"; by default SHOWTELL_TOKEN, or none."""
    trusted_host: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Name of a proxy before this server, such as photos.example.org; once for each."""
    root_path: str = ""
    """Path prefix under which a proxy serves this server, such as /showtell."""
    device: str = "auto"
    """Where to compute: cpu, cuda or mps; auto takes the best there is."""
    max_body_mb: int = 20
    """Largest request in megabytes, at least 1."""
    max_megapixels: int = 100
    """Largest image in millions of pixels, at least 1."""
    max_images: int = 16
    """Most images per request, at least 1."""
    max_in_flight: int = 64
    """Requests processed at once, at least 1; further ones are asked to retry."""
    timeout: float = 30.0
    """Seconds a request may take, from its first byte to its answer, above 0."""
    idle_timeout: float = 10.0
    """Seconds to wait for a client that sends nothing, above 0."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        prefix = self.root_path.strip("/")
        object.__setattr__(self, "root_path", f"/{prefix}" if prefix else "")
        at_least(self, port=0, max_body_mb=1, max_megapixels=1, max_images=1, max_in_flight=1)
        at_most(self, port=65535)
        above_zero(self, "timeout", "idle_timeout")
        check_token(self.token)


def check_token(token: str | None) -> None:
    """Refuse a token that whoever sends none would show, or that no header can carry.

    Raises:
        ConfigError: It is empty, or begins or ends with a blank.
    """
    if token is not None and (not token or token != token.strip()):
        raise ConfigError(
            "--token is empty, or begins or ends with a blank.",
            hint="Expected a secret; leave the flag out to ask for none.",
        )


@dataclass(frozen=True)
class Demo(Serve):
    """Show a model on a web page, for images and for the camera.

    Example: showtell demo runs/mine --open

    Example: showtell demo tf_efficientnet_lite0
    """

    open_browser: Annotated[bool, tyro.conf.arg(name="open")] = False
    """Open the page in the browser."""
