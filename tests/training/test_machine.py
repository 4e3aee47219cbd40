"""What a training says that it ran on."""

import pytest

from mslstm_keras.training import machine


def test_a_device_is_a_processor_with_its_cores_or_gpus(monkeypatch):
    monkeypatch.setattr(machine, "processor", lambda: "A Processor")
    monkeypatch.setattr(machine, "usable_cores", lambda: 4)
    said = {1: "NVIDIA H200", 3: "3 x NVIDIA H200", 0: "A Processor (4 cores)"}
    for count, text in said.items():
        monkeypatch.setattr(machine, "gpus", lambda count=count: ["NVIDIA H200"] * count)
        assert machine.device() == text
    monkeypatch.setattr(machine, "gpus", list)
    monkeypatch.setattr(machine, "usable_cores", lambda: 1)
    assert machine.device() == "A Processor (1 core)"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("processor\t: 0\nmodel name\t: Fast 9000: new\nmodel name\t: another\n", "Fast 9000: new"),
        ("processor\t: 0\n", "arm64"),
    ],
)
def test_the_name_of_the_processor(monkeypatch, tmp_path, content, expected):
    (tmp_path / "cpuinfo").write_text(content)
    monkeypatch.setattr(machine, "CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(machine.platform, "machine", lambda: "arm64")
    monkeypatch.setattr(machine.platform, "processor", lambda: "")
    assert machine.processor() == expected
    (tmp_path / "cpuinfo").unlink()
    assert machine.processor() == "arm64"
    monkeypatch.setattr(machine.platform, "processor", lambda: "old and slow")
    assert machine.processor() == "old and slow"
