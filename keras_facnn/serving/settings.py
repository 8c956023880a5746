"""The settings of a server."""

import dataclasses

from keras_facnn.pictures.opening import MAX_PIXELS
from keras_facnn.runtime.explainer import EngineName

# Hosts that only this computer can reach.
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a server serves, and how much it accepts.

    Args:
        model: Path of the exported model.
        name: Name of the model in addresses, such as `/v2/models/NAME/infer`.
        engine: As in `keras_facnn.runtime.Explainer`.
        threads: Threads of one inference. None means all cores.
        host: Address to listen at.
        port: Port to listen at; 0 is any free port.
        workers: Number of processes. Each one opens the model.
        token: Token that requests must show. None answers everyone.
        max_bytes: The most bytes of a request's body.
        max_waiting_bytes: The most bytes of all bodies that are being read.
        max_pixels: The most pixels of a picture, by its header.
        batch_size: The most pictures of one inference.
        window: Seconds for which an inference waits for pictures of requests
            that are being read.
        queue: The most pictures, and the most requests, that wait at a time.
        watch: Path of a reference that `Watch.save` wrote, with which the
            evidence in served pictures is compared, or None.
        timeout: Seconds in which a request must be sent, and answered.
        grace: Seconds that running requests get after SIGTERM.
    """

    model: str
    name: str = "model"
    engine: EngineName | None = None
    threads: int | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    token: str | None = dataclasses.field(default=None, repr=False)
    max_bytes: int = 16 * 2**20
    max_waiting_bytes: int = 256 * 2**20
    max_pixels: int = MAX_PIXELS
    batch_size: int = 16
    window: float = 0.002
    queue: int = 256
    watch: str | None = None
    timeout: float = 30.0
    grace: float = 30.0

    def __post_init__(self) -> None:
        for name, least, most in (
            ("port", 0, 65535),
            ("workers", 1, 1024),
            ("max_bytes", 1, 2**40),
            ("max_waiting_bytes", self.max_bytes, 2**50),
            ("max_pixels", 1, MAX_PIXELS),
            ("batch_size", 1, 4096),
            ("window", 0, 60),
            ("queue", 1, 2**20),
            ("timeout", 1, 86400),
            ("grace", 0, 86400),
        ):
            value = getattr(self, name)
            if not least <= value <= most:
                raise ValueError(
                    f"`{name}` must be {least} to {most}. "
                    f"Received: {name}={value}"
                )
        if not self.name or set(self.name) & set("/:?#% \t\r\n"):
            raise ValueError(
                "`name` must be fit for an address, without any of /:?#% and "
                f"blanks. Received: name={self.name!r}"
            )
        if self.token is not None and not (
            self.token.isascii() and self.token.isprintable() and self.token
        ):
            raise ValueError("`token` must be printable ASCII, and not empty")

    @property
    def is_local(self) -> bool:
        """Whether only this computer can reach the server."""
        return self.host in LOOPBACK
