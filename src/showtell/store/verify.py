"""Every record held against its checksum; what is damaged is taken out, to be made again."""

import time
from dataclasses import dataclass, field

from showtell.console import Console, human_time, many
from showtell.data.names import few
from showtell.store.kept_images import NAME, KeptImages
from showtell.store.record import RecordError
from showtell.store.space import FeatureSpace, Reader

_BATCH = 256


@dataclass(slots=True)
class Verified:
    """What a check has found.

    Attributes:
        records: How many were looked at.
        unchecked: How many of them have the right length, and no checksum to be held against.
        damaged: Keys, hexadecimal, of those that were taken out.
        seconds: How long it took.
    """

    records: int = 0
    unchecked: int = 0
    damaged: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        parts = [f"{many(self.records, 'record', 'records')} checked in {human_time(self.seconds)}"]
        if self.unchecked:
            parts.append(f"{self.unchecked:,} of them by their length alone, since they have no checksum")
        if self.damaged:
            parts.append(
                f"{many(len(self.damaged), 'damaged one', 'damaged ones')} taken out "
                f"({few([key[:12] for key in self.damaged])}); the next extract makes them again"
            )
        else:
            parts.append("all are sound")
        return "; ".join(parts)


def verify_space(space: FeatureSpace, console: Console) -> Verified:
    """Read every record, and take out those whose length or checksum is wrong.

    Args:
        space: Which may be in use; a reader of a damaged record finds none from then on.
        console: Shows the progress.

    Raises:
        StoreError: The space is damaged so that records cannot be found.
    """
    started, verified = time.perf_counter(), Verified()
    with space.reading() as reader, console.bar(len(space), f"verifying {space.id}", "records") as bar:
        for key in space:
            sound = _is_sound(reader, key)
            verified.records += 1
            verified.unchecked += sound is None
            if sound is False:
                verified.damaged.append(key.hex())
            if verified.records % _BATCH == 0:
                bar.update(_BATCH)
        bar.update(verified.records % _BATCH)
    space.drop([bytes.fromhex(key) for key in verified.damaged])
    verified.seconds = time.perf_counter() - started
    return verified


def verify_kept(kept: KeptImages, console: Console) -> Verified:
    """Read every decoded image that is kept, and delete those whose length or checksum is wrong."""
    started, verified = time.perf_counter(), Verified()
    files = [path for path, _ in kept.files()]
    with console.bar(len(files), f"verifying {NAME}", "images") as bar:
        for path in files:
            verified.records += 1
            if not kept.is_sound(path):
                verified.damaged.append(path.name)
            bar.update(1)
    verified.seconds = time.perf_counter() - started
    if files:
        console.say(f"{NAME}: {verified}")
    return verified


def _is_sound(reader: Reader, key: bytes) -> bool | None:
    """Return whether a record is as it was written; None where only its length can say so."""
    try:
        found = reader.record(key)
    except RecordError:
        return False
    return None if found.checksum is None else found.checksum == found.own_checksum
