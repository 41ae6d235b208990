"""PyTorch's and flow-matching's side of `versus_diffusion`: the same transformer, batches and optimizer on the CPU.

Usage: diffusion.py WHICH THREADS CASE. Prints a JSON object a line: {"case": ..., "ms": ..., "parameters": ..., "memory": ...}.
Both have PyTorch's own encoder (`nn.TransformerEncoder`, norm first, ReLU). `multinomial` is the uniform process in log space with
its posterior, by the equations of Hoogeboom et al. 2021; `flow-matching` is that package's mixture path, loss and Euler solver.
"""

import json
import math
import resource
import sys
import time

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ImportError as error:
    sys.exit(f"a library is missing ({error}): pip install -r benches/peers/requirements-diffusion.txt into this environment")

K, LENGTH, BATCH, STEPS, SAMPLES = 27, 64, 32, 100, 16
WIDTH, HEADS, BLOCKS = 128, 4, 2


def best(run, seconds=1.5):
    run()
    begin, shortest = time.perf_counter(), float("inf")
    while shortest == float("inf") or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        run()
        shortest = min(shortest, time.perf_counter() - start)
    return shortest * 1e3


class Encoder(nn.Module):
    """Logits of every position from states and a time, which is added before each block."""

    def __init__(self):
        super().__init__()
        self.table, self.places = nn.Embedding(K, WIDTH), nn.Parameter(0.02 * torch.randn(LENGTH, WIDTH))
        self.time = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH * BLOCKS))
        layer = {"nhead": HEADS, "dim_feedforward": 4 * WIDTH, "dropout": 0.0, "batch_first": True, "norm_first": True}
        self.blocks = nn.ModuleList(nn.TransformerEncoderLayer(WIDTH, **layer) for _ in range(BLOCKS))
        self.norm, self.last = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, K)
        self.scale = nn.Parameter(torch.zeros(1))

    def forward(self, x, t):
        half = WIDTH // 2
        angles = 4000 * t[:, None] * torch.exp(-math.log(1e4) * torch.arange(half) / (half - 1))
        times = self.time(torch.cat([angles.sin(), angles.cos()], 1)).view(-1, BLOCKS, 1, WIDTH)
        h = self.table(x) + self.places
        for b, block in enumerate(self.blocks):
            h = block(h + times[:, b])
        return self.scale * self.last(self.norm(h))


def multinomial():
    """A training loss and a sampler of the uniform process."""
    kept = torch.cos((torch.arange(STEPS + 1, dtype=torch.float64) / STEPS + 0.008) / 1.008 * math.pi / 2)
    ratio = ((kept[1:] / kept[:-1]) ** 2).clamp(0.001, 1).sqrt()
    alpha = torch.cat([torch.ones(1, dtype=torch.float64), ratio])
    left = torch.cumprod(alpha, 0)
    logs = [x.float() for x in (alpha.log(), (1 - alpha + 1e-40).log(), left.log(), (1 - left + 1e-40).log())]
    log_alpha, log_beta, log_left, log_lost = logs

    def mix(log_x, keep, lose):
        return torch.logaddexp(log_x + keep[:, None, None], lose[:, None, None] - math.log(K))

    def posterior(log_x0, log_xt, t):
        log_p = mix(log_xt, log_alpha[t], log_beta[t]) + mix(log_x0, log_left[t - 1], log_lost[t - 1])
        return log_p - log_p.logsumexp(2, keepdim=True)

    def log_one_hot(x):
        return functional.one_hot(x, K).float().clamp_min(1e-30).log()

    def draw(log_p):
        return (log_p - torch.log(-torch.log(torch.rand_like(log_p) + 1e-30) + 1e-30)).argmax(2)

    def loss(net, x):
        t = torch.randint(1, STEPS + 1, (len(x),))
        log_x0 = log_one_hot(x)
        xt = draw(mix(log_x0, log_left[t], log_lost[t]))
        log_xt, log_said = log_one_hot(xt), functional.log_softmax(net(xt, t / STEPS), 2)
        truth, said = posterior(log_x0, log_xt, t), posterior(log_said, log_xt, t)
        kl = (truth.exp() * (truth - said)).sum((1, 2))
        first = -said.gather(2, x[:, :, None]).sum((1, 2))
        return (STEPS * torch.where(t == 1, first, kl)).mean()

    def sample(net, n):
        x = torch.randint(0, K, (n, LENGTH))
        for i in range(STEPS, 0, -1):
            t = torch.full((n,), i)
            x = draw(posterior(functional.log_softmax(net(x, t / STEPS), 2), log_one_hot(x), t))
        return x

    return loss, sample


def flow_matching():
    """The same of a mixture path from uniform noise."""
    from flow_matching.loss import MixturePathGeneralizedKL
    from flow_matching.path import MixtureDiscreteProbPath
    from flow_matching.path.scheduler import PolynomialConvexScheduler
    from flow_matching.solver import MixtureDiscreteEulerSolver
    from flow_matching.utils import ModelWrapper

    path = MixtureDiscreteProbPath(scheduler=PolynomialConvexScheduler(n=1.0))
    nats = MixturePathGeneralizedKL(path=path)

    class Probabilities(ModelWrapper):
        def forward(self, x, t, **_):
            return functional.softmax(self.model(x, t.expand(len(x))), 2)

    def loss(net, x):
        t = torch.rand(len(x)) * 0.999
        at = path.sample(t=t, x_0=torch.randint_like(x, K), x_1=x)
        return nats(logits=net(at.x_t, at.t), x_1=x, x_t=at.x_t, t=at.t)

    def sample(net, n):
        solver = MixtureDiscreteEulerSolver(model=Probabilities(net), path=path, vocabulary_size=K)
        return solver.sample(x_init=torch.randint(0, K, (n, LENGTH)), step_size=1 / STEPS)

    return loss, sample


def main():
    which, threads, case = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    net = Encoder()
    loss, sample = multinomial() if which == "multinomial" else flow_matching()
    x = torch.randint(0, K, (BATCH, LENGTH))
    adam = torch.optim.Adam(net.parameters(), lr=1e-4)
    parameters = sum(p.numel() for p in net.parameters())

    def step():
        adam.zero_grad()
        loss(net, x).backward()
        adam.step()

    def report(what, ms):
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        line = {"case": f"{case}, {what}", "ms": ms, "parameters": parameters, "memory": memory}
        print(json.dumps(line), flush=True)

    report(f"training step of {BATCH} × {LENGTH}", best(step))
    net.eval()
    with torch.no_grad():
        report(f"{SAMPLES} × {LENGTH} drawn in {STEPS} steps", best(lambda: sample(net, SAMPLES)))


if __name__ == "__main__":
    main()
