"""Two gloo processes under torchrun as on two machines, interrupted, resumed and compared with one process."""

from __future__ import annotations

import pickle
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from associative_embedding.training.train import train
from support.tiny import tiny_data, tiny_recipe

pytestmark = pytest.mark.slow

# Process 1 alone is interrupted at its fourth step; then the same again, to the end; each process tells its weights.
# Then a run whose steps have two parts. A torchrun start takes seconds, so all runs share one process group.
DRIVER = """
import faulthandler, os, pickle, signal, sys
faulthandler.dump_traceback_later(100, exit=True)  # a process that waits for ever says where
import torch
import torch.distributed as dist
from associative_embedding.training import train as training
recipe, parts, folder = pickle.load(open("job", "rb"))
rank = os.environ["RANK"]
start, end = dist.init_process_group, dist.destroy_process_group
dist.init_process_group = lambda *a, **k: dist.is_initialized() or start(*a, **k)
dist.destroy_process_group = lambda: None
build, update, states = training.build_state, training.update, []
def keep(*arguments):
    states.append(build(*arguments))
    return states[-1]
def interrupting(state, *arguments):
    if rank == "1" and len(states) == 1 and state.step == 3:
        os.kill(os.getpid(), signal.SIGINT)
    update(state, *arguments)
training.build_state, training.update = keep, interrupting
try:
    training.train(recipe)
except KeyboardInterrupt as error:
    open(f"{folder}/interrupt-{rank}", "w").write(str(error))
dist.barrier()
training.train(recipe)
torch.save(states[-1].network.state_dict(), f"{folder}/rank-{rank}.pt")
training.train(parts)
torch.save(states[-1].network.state_dict(), f"{folder}/parts-{rank}.pt")
dist.barrier()
end()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of 8 steps: by 2 processes of batch 2 in ``two/run``, by 2 of twice 1 in ``parts``, by 1 of 4 in ``one``."""
    folder = tmp_path_factory.mktemp("distributed")
    source = tiny_data(folder)
    two = tiny_recipe(folder / "two", source, steps=8, batch=2, log_every=4)
    parts = replace(two, output=str(folder / "parts" / "run"), train=replace(two.train, batch=1, accumulate=2))
    (folder / "driver.py").write_text(DRIVER)
    (folder / "job").write_bytes(pickle.dumps((two, parts, str(folder))))
    torchrun(folder)
    train(replace(two, output=str(folder / "one" / "run"), train=replace(two.train, batch=4)))
    return folder


def torchrun(folder: Path) -> None:
    """As two machines with a process each, by the command of docs/scale.md: two agents that meet at an address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = f"--nnodes 2 --nproc-per-node 1 --master-addr 127.0.0.1 --master-port {port}".split()
    agents: list[subprocess.Popen[bytes]] = []
    for node in ("0", "1"):
        command = [sys.executable, "-m", "torch.distributed.run", *options, "--node-rank", node, "driver.py"]
        with open(folder / f"output-{node}", "wb") as output:
            agents.append(subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT))
    end = time.monotonic() + 150  # a worker that hangs ends itself before, by faulthandler
    while any(agent.poll() is None for agent in agents) and time.monotonic() < end:
        if any(agent.poll() for agent in agents):  # one failed: the other would wait minutes for it
            end = min(end, time.monotonic() + 5)
        time.sleep(0.1)
    for agent in agents:
        agent.kill()  # an agent that waits for the other one does not hear SIGTERM
    codes = [agent.wait() for agent in agents]
    assert codes == [0, 0], [(folder / f"output-{node}").read_text()[-3000:] for node in (0, 1)]


def weights(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True)  # type: ignore[no-any-return]


@pytest.mark.parametrize(("name", "run"), [("rank", "two"), ("parts", "parts")])
def test_all_processes_end_with_the_same_weights(folder: Path, name: str, run: str) -> None:
    first, second = weights(folder / f"{name}-0.pt"), weights(folder / f"{name}-1.pt")
    saved = weights(folder / run / "run" / "state.pt")
    assert saved["step"] == 8
    for key, value in first.items():
        assert torch.equal(value, second[key]), key
        assert torch.equal(value, saved["network"][key]), key


@pytest.mark.parametrize("name", ["two", "parts"])
def test_two_processes_of_two_are_one_of_four(folder: Path, name: str) -> None:
    one, two = weights(folder / "one" / "run" / "state.pt"), weights(folder / name / "run" / "state.pt")
    for part in ("network", "average"):
        for key, value in one[part].items():
            torch.testing.assert_close(two[part][key], value, rtol=1e-3, atol=1e-5, msg=lambda m, n=key: f"{n}: {m}")


def test_the_log_is_written_once_and_means_all_processes(folder: Path) -> None:
    one, two = ((folder / name / "run" / "log.jsonl").read_text().splitlines() for name in ("one", "two"))
    losses = [[line.split('"loss": ')[1].split(",")[0] for line in log if '"train"' in line] for log in (one, two)]
    assert len(losses[0]) == len(losses[1]) == 2
    assert [float(x) for x in losses[1]] == pytest.approx([float(x) for x in losses[0]], rel=1e-3)


def test_one_interrupted_process_stops_all_after_the_same_step(folder: Path) -> None:
    texts = {(folder / f"interrupt-{rank}").read_text() for rank in (0, 1)}
    assert len(texts) == 1
    assert "interrupted at step 4; saved" in texts.pop()
