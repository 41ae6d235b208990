"""The side of PyTorch and PyJuice of `benches/gpu.rs`: the same steps on the same GPU, as lines of the same CSV.

The denoiser is that of `diffusion.py`. A step is a forward and a backward pass with an update by Adam, or a step of EM, the shortest of many; 1,024 rows. PyJuice makes
the tree of its circuit itself, from the same pictures; where it is not installed, its lines are left out.
"""

import contextlib
import importlib.metadata
import itertools
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


def blots():
    """Pictures of a round blot, of another size at another place in each: `(rows, 784)`, values in 0..256."""
    side, n = 28, 4 * ROWS
    share = torch.sin((torch.arange(n, dtype=torch.float64)[:, None] * 3 + torch.arange(3)) * 12.9898).abs()
    place = torch.arange(side, dtype=torch.float64) / side
    y = (place[None, :] - share[:, :1]).square()[:, :, None]
    x = (place[None, :] - share[:, 1:2]).square()[:, None, :]
    return (255 * (-(y + x) / (0.02 + 0.1 * share[:, 2:, None])).exp()).long().reshape(n, side * side)


def circuits(name):
    try:
        import pyjuice
    except ImportError as error:
        return print(f"PyJuice is missing: {error}", file=sys.stderr)
    images = blots().cuda()
    for states in (64, 256):
        with contextlib.redirect_stdout(sys.stderr):
            circuit = pyjuice.compile(pyjuice.structures.HCLT(images.float(), num_latents=states)).to(torch.device("cuda"))
            batches = itertools.cycle(images.split(ROWS))

            def step():
                rows = next(batches)
                circuit.init_param_flows(flows_memory=0.0)
                circuit(rows)
                circuit.backward(rows, flows_memory=1.0)
                circuit.mini_batch_em(step_size=0.5, pseudocount=0.1)

            milliseconds = shortest(step, "cuda")
        what = f"EM of a hidden Chow-Liu tree of {images.shape[1]} variables with {states} states"
        print(f"{what},PyJuice {importlib.metadata.version('pyjuice')} on {name},{milliseconds:.4f}", flush=True)


def denoiser(device):
    """A training step of ROWS texts, and as many drawn in 100 steps."""
    import diffusion

    if ROWS < 64:
        diffusion.LENGTH = 8
    torch.set_default_device(device)
    loss, sample = diffusion.multinomial()
    net = diffusion.Encoder()
    x = torch.randint(0, diffusion.K, (ROWS, diffusion.LENGTH))
    step = training(net.parameters(), lambda: loss(net, x))

    def draw():
        with torch.no_grad():
            return sample(net, ROWS)

    yield f"diffusion: transformer on {diffusion.LENGTH} letters", step
    yield f"diffusion: {diffusion.LENGTH} letters drawn in {diffusion.STEPS} steps", draw


def main():
    device = "cuda" if torch.cuda.is_available() else "cpu"
    name = torch.cuda.get_device_name() if device == "cuda" else f"CPU with {torch.get_num_threads()} threads"
    x = torch.sin((torch.arange(ROWS * DIMS, device=device) + 1) * 12.9898).reshape(ROWS, DIMS)
    for what, step in (("MLP 64-512-512-64", mlp), ("4 affine couplings of 64 coordinates", couplings)):
        print(f"{what},PyTorch {torch.__version__} on {name},{shortest(step(device, x), device):.4f}", flush=True)
    for what, step in denoiser(device):
        print(f"{what},PyTorch {torch.__version__} on {name},{shortest(step, device):.4f}", flush=True)
    if device == "cuda" and ROWS >= 64:
        torch.set_default_device("cpu")
        circuits(name)


if __name__ == "__main__":
    main()
