"""Commands that keep running: the HTTP API, and the page for people on top of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from showtell.settings import Maybe, Settings, at_least


@dataclass(frozen=True)
class Serve(Settings):
    """Answer over HTTP what pictures show.

    Example: showtell serve runs/mine --port 8000
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Folders of runs or models; or timm networks, for ImageNet's classes. The first answers by default."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 lets in whoever reaches this machine."""
    port: int = 8000
    """Port to listen on; 0 takes any that is free."""
    token: Maybe[str] = None
    """What a client must show as "Authorization: Bearer TOKEN"; by default SHOWTELL_TOKEN, or none."""
    trusted_host: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Name of a proxy before this server, such as photos.example.org; once for each."""
    root_path: str = ""
    """Prefix of the addresses under which a proxy shows this server, such as /showtell."""
    device: str = "auto"
    """Where to compute: cpu, cuda or mps; the best there is by default."""
    max_body_mb: int = 20
    """Most megabytes of a request, 1 or more."""
    max_megapixels: int = 100
    """Most million pixels a picture may claim, 1 or more."""
    max_pictures: int = 16
    """Most pictures in a request, 1 or more."""
    max_in_flight: int = 64
    """Requests taken at once, 1 or more; further ones are told to come back."""
    timeout: float = 30.0
    """Seconds a request may take, from its first byte to its answer."""
    patience: float = 10.0
    """Seconds to wait for a client that sends nothing."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        prefix = self.root_path.strip("/")
        object.__setattr__(self, "root_path", f"/{prefix}" if prefix else "")
        at_least(self, port=0, max_body_mb=1, max_megapixels=1, max_pictures=1, max_in_flight=1)


@dataclass(frozen=True)
class Demo(Serve):
    """Show a model to people: a web page for pictures and for the camera.

    Example: showtell demo runs/mine --open
    """

    open_browser: Annotated[bool, tyro.conf.arg(name="open")] = False
    """Open the page in the browser."""
