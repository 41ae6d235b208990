"""PyTorch's side of `benches/gpu.rs`: the same steps on the same GPU, as lines of the same CSV.

A step is a forward and a backward pass with an update by Adam, the shortest of many; 1,024 rows.
"""

import os
import sys
import time

try:
    import torch
    from torch import nn
except ImportError as error:
    sys.exit(f"torch is missing: {error}")

ROWS, DIMS, HIDDEN = int(os.environ.get("ROWS", 1024)), 64, 512


def shortest(step, device):
    def timed():
        start = time.perf_counter()
        step()
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    for _ in range(3):
        timed()
    began, best = time.perf_counter(), float("inf")
    while time.perf_counter() - began < 2:
        best = min(best, timed())
    return best * 1e3


def training(parameters, loss):
    adam = torch.optim.Adam(parameters, lr=1e-3)

    def step():
        adam.zero_grad(set_to_none=True)
        loss().backward()
        adam.step()

    return step


def perceptron(inputs, outputs, activation):
    inner = [nn.Linear(inputs, HIDDEN), activation(), nn.Linear(HIDDEN, HIDDEN), activation()]
    return nn.Sequential(*inner, nn.Linear(HIDDEN, outputs))


def mlp(device, x):
    net = perceptron(DIMS, DIMS, nn.ReLU).to(device)
    return training(net.parameters(), lambda: net(x).square().mean())


def couplings(device, x):
    masks = [torch.tensor([(j + i) % 2 for j in range(DIMS)], dtype=torch.float32, device=device) for i in range(4)]
    pairs = nn.ModuleList(nn.ModuleList([perceptron(DIMS, DIMS, nn.Tanh), perceptron(DIMS, DIMS, nn.ReLU)]) for _ in masks).to(device)

    def loss():
        z, log_det = x, 0.0
        for mask, (scale, shift) in zip(masks, pairs):
            seen = z * (1 - mask)
            s, t = scale(seen) * mask, shift(seen) * mask
            z, log_det = z * s.exp() + t, log_det + s.sum(1)
        return -(-0.5 * z.square().sum(1) + log_det).mean()

    return training(pairs.parameters(), loss)


def main():
    device = "cuda" if torch.cuda.is_available() else "cpu"
    name = torch.cuda.get_device_name() if device == "cuda" else f"CPU with {torch.get_num_threads()} threads"
    x = torch.sin((torch.arange(ROWS * DIMS, device=device) + 1) * 12.9898).reshape(ROWS, DIMS)
    for what, step in (("MLP 64-512-512-64", mlp), ("4 affine couplings of 64 coordinates", couplings)):
        print(f"{what},PyTorch {torch.__version__} on {name},{shortest(step(device, x), device):.4f}")


if __name__ == "__main__":
    main()
