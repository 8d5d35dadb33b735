"""Kill -9 at random moments: nothing finished is lost, nothing half-written is served, a rerun ends equal.

python trust/kill.py --rounds 200
python trust/kill.py --minutes 30 --only threads
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from campaign import Attempt, Figures, Finding, Line, run

ANSWERS = """
import random, sys
from pathlib import Path
from showtell.data.answers import Answer, AnswerTable
table, number = AnswerTable(Path(sys.argv[1]), "caption"), int(sys.argv[2])
while True:
    table.add([Answer(f"{number}.jpg", f"강아지 {number}")])
    print(number, flush=True)
    number += 1
"""


@contextmanager
def answers(folder: Path) -> Iterator[Attempt]:
    """Kill who writes down captions that people give; each that was confirmed is in the table."""
    from showtell.data.answers import AnswerTable

    path, said = folder / "captions.csv", [-1]

    def attempt(chance: random.Random) -> Figures:
        command = [sys.executable, "-c", ANSWERS, str(path), str(said[-1] + 2)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            said.append(int(writer.stdout.readline()))
            time.sleep(chance.uniform(0, 0.05))
            os.kill(writer.pid, signal.SIGKILL)
            said.extend(int(line) for line in writer.stdout if line.endswith("\n"))
        kept = {one.image: one.text for one in AnswerTable(path, "caption").read()}
        lost = [number for number in said[1:] if kept.get(f"{number}.jpg") != f"강아지 {number}"]
        if lost:
            raise Finding(f"{len(lost)} confirmed answers are lost, such as {lost[0]}")
        return {"kills": 1, "highest answers": len(kept)}

    yield attempt


LINES = (Line("answers of teach", answers, short=3),)

if __name__ == "__main__":
    sys.exit(run("kill", __doc__, LINES))
