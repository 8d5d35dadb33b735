"""Run the whole campaign: every part in a process of its own, each with its share of the time.

python trust/all.py                 # two hours
python trust/all.py --minutes 30
python trust/all.py --short         # what CI runs: fixed seeds, under two minutes
"""

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PARTS = {
    "kill": 29,
    "power_cut": 8,
    "faults": 6,
    "hostile_images": 12,
    "hostile_data": 8,
    "hostile_models": 9,
    "guided": 6,
    "scores": 3,
    "intervals": 12,
    "determinism": 5,
    "supply": 7,
    "server": 15,
}
"""Minutes of each part in a campaign of two hours; what is left over is given to all in proportion."""


def main() -> int:
    """Run the parts; return 1 if any has found something."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=120.0, help="in all (120)")
    parser.add_argument("--short", action="store_true", help="the few rounds that CI runs")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn at random (0)")
    parser.add_argument("--results", type=Path, help="folder of the JSON lines (trust/results)")
    options = parser.parse_args()
    each = options.minutes / sum(PARTS.values())
    found, said = [], list[str]()
    for part, minutes in PARTS.items():
        length = ["--short"] if options.short else ["--minutes", str(minutes * each)]
        results = [] if options.results is None else ["--results", str(options.results)]
        command = [sys.executable, str(HERE / f"{part}.py"), *length, "--seed", str(options.seed), *results]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace") as running:
            for line in running.stdout or ():
                print(line, end="", flush=True)
                if line.startswith(("FOUND", "Again")):
                    said.append(line)
        if running.returncode != 0:
            found.append(part)
        print(flush=True)
    # Once more at the end: of a long log, often only the end is kept.
    print(*said, f"found something: {', '.join(found)}" if found else "nothing was found", sep="")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
