"""How much memory is free: the machine's, or what is left of a control group's, whichever version it has."""

from pathlib import Path

from showtell.data.pixels import memory


def write_group(folder: Path, limit: str, used: int, cached: int, version: int = 2) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = (
        ("memory.max", "memory.current", "inactive_file")
        if version == 2
        else ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    )
    for name, text in zip(names[:2], (limit, str(used))):
        (folder / name).write_text(f"{text}\n")
    (folder / "memory.stat").write_text(f"anon 1\n{names[2]} {cached}\n")


def test_a_container_has_what_its_group_leaves(tmp_path):
    own = tmp_path / "own"
    assert memory._of_groups(tmp_path, own) == []
    write_group(tmp_path, "1000000", 700_000, 200_000)
    assert memory._of_groups(tmp_path, own) == [500_000], "it may see its group as the root"
    write_group(tmp_path, "max", 700_000, 200_000)
    assert memory._of_groups(tmp_path, own) == []


def test_each_group_above_a_process_has_a_say(tmp_path):
    own = tmp_path / "own"
    own.write_text("12:cpu,cpuacct:/elsewhere\n0::/user.slice/session-1.scope\n")
    write_group(tmp_path / "user.slice", "1000000", 900_000, 50_000)
    write_group(tmp_path / "user.slice" / "session-1.scope", "800000", 100_000, 0)
    write_group(tmp_path / "elsewhere", "10", 0, 0)
    assert sorted(memory._of_groups(tmp_path, own)) == [150_000, 700_000]


def test_groups_of_the_first_version_lie_below_their_controller(tmp_path):
    own = tmp_path / "own"
    own.write_text("5:memory:/job\n1:name=systemd:/x\n")
    write_group(tmp_path / "memory", str(2**63 - 4096), 5_000_000, 0, version=1)
    write_group(tmp_path / "memory" / "job", "770000000", 500_000_000, 100_000_000, version=1)
    assert min(memory._of_groups(tmp_path, own)) == 370_000_000


def test_this_machine_says_how_much_memory_it_has():
    free = memory.available_memory()
    assert free is None or 0 < free < 2**48
