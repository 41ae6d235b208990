"""PyTorch's side of `versus_nn`: the same networks, sizes and losses on the CPU. Usage: nn.py THREADS

Prints a JSON object a line: {"case": ..., "ms": ...}, the shortest of many forward and backward passes.
"""

import json
import sys
import time

try:
    import torch
    from torch import nn
except ImportError as error:
    sys.exit(f"torch is missing ({error}): pip install -r benches/peers/requirements-nn.txt into this environment")


def best(net, x):
    def step():
        net.zero_grad(set_to_none=True)
        net(x).square().mean().backward()

    for _ in range(3):
        step()
    begin, shortest = time.perf_counter(), float("inf")
    while time.perf_counter() - begin < 1.5:
        start = time.perf_counter()
        step()
        shortest = min(shortest, time.perf_counter() - start)
    return shortest * 1e3


def mlp(activation):
    layers = [nn.Linear(64, 512), activation(), nn.Linear(512, 512), activation(), nn.Linear(512, 64)]
    # As ours does, the gradient goes back to the input.
    return best(nn.Sequential(*layers), torch.randn(512, 64, requires_grad=True))


def convolutions():
    net = nn.Sequential(
        nn.Conv2d(1, 32, 3, 1, 1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, 2, 1),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 1, 4, 2, 1),
    )
    return best(net, torch.randn(64, 1, 28, 28, requires_grad=True))


def main():
    threads = int(sys.argv[1])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    cases = [
        ("MLP 64-512-512-64, relu, batch 512", lambda: mlp(nn.ReLU)),
        ("MLP 64-512-512-64, tanh, batch 512", lambda: mlp(nn.Tanh)),
        ("convolutions on 28×28, batch 64", convolutions),
    ]
    for case, run in cases:
        print(json.dumps({"case": case, "ms": run()}), flush=True)


if __name__ == "__main__":
    main()
