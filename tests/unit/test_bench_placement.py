"""Which CPUs are chosen, from a topology as sysfs tells it."""

from __future__ import annotations

import os

from ipckit.bench.placement import Cpu, choose, read_topology

TWO_CORES_WITH_SIBLINGS = [Cpu(0, 0, 0), Cpu(1, 0, 1), Cpu(2, 0, 0), Cpu(3, 0, 1)]
TWO_PACKAGES = [Cpu(0, 0, 0), Cpu(1, 0, 1), Cpu(2, 1, 0), Cpu(3, 1, 1)]


def test_the_topology_is_read_for_the_allowed_cpus_only(tmp_path):
    for number, core in ((0, 0), (1, 5), (2, 5)):
        folder = tmp_path / f"cpu{number}" / "topology"
        folder.mkdir(parents=True)
        (folder / "physical_package_id").write_text("1\n")
        (folder / "core_id").write_text(f"{core}\n")
    assert read_topology({1, 2}, tmp_path) == [Cpu(1, 1, 5), Cpu(2, 1, 5)]


def test_without_sysfs_each_cpu_is_a_core(tmp_path):
    assert read_topology({0, 3}, tmp_path) == [Cpu(0, 0, 0), Cpu(3, 0, 3)]


def test_the_real_topology_is_that_of_the_affinity_mask():
    assert {cpu.number for cpu in read_topology()} == os.sched_getaffinity(0)


def test_cross_takes_two_physical_cores_and_not_two_threads_of_one():
    chosen = choose("cross", TWO_CORES_WITH_SIBLINGS)
    assert {chosen.first, chosen.second} == {1, 2}  # two cores, without the CPU 0 that serves interrupts
    assert "different physical cores" in chosen.text
    assert not chosen.notice


def test_cross_stays_in_one_package():
    chosen = choose(None, TWO_PACKAGES)
    assert (chosen.kind, chosen.first, chosen.second) == ("cross", 2, 3)
    assert "same package" in chosen.text


def test_two_threads_of_one_core_are_said_to_be_that():
    chosen = choose("cross", [Cpu(0, 0, 0), Cpu(1, 0, 0)])
    assert (chosen.first, chosen.second) == (0, 1)
    assert "hardware threads" in chosen.text
    assert "no two physical cores" in chosen.notice


def test_with_one_cpu_cross_becomes_same_and_says_why():
    chosen = choose("cross", [Cpu(5, 0, 0)])
    assert (chosen.kind, chosen.first, chosen.second) == ("same", 5, 5)
    assert "may use only CPU 5" in chosen.notice
    assert not choose(None, [Cpu(5, 0, 0)]).notice  # nobody asked for cross


def test_same_and_free():
    assert choose("same", TWO_PACKAGES).first == choose("same", TWO_PACKAGES).second == 3
    free = choose("free", TWO_PACKAGES)
    assert (free.first, free.second) == (None, None)
    assert "not pinned" in free.text
