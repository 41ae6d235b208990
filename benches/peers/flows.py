"""zuko's and nflows' side of `versus_flows`: the same sizes, batches and optimizer on the CPU.

Usage: flows.py LIBRARY THREADS CASE. Prints a JSON object a line: {"case": ..., "ms": ..., "parameters": ..., "memory": ...}.
"""

import json
import resource
import sys
import time

try:
    import nflows.flows
    import torch
    import zuko
except ImportError as error:
    sys.exit(f"a library is missing ({error}): pip install -r benches/peers/requirements-flows.txt into this environment")

BATCH, SAMPLES, LAYERS, COUPLINGS = 100, 1000, 5, 10


def best(run, seconds=1.5):
    run()
    begin, shortest = time.perf_counter(), float("inf")
    while shortest == float("inf") or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        run()
        shortest = min(shortest, time.perf_counter() - start)
    return shortest * 1e3


def build(library, model, dims, hidden):
    """The model, its log-density and its sampler."""
    if library == "zuko":
        flow = {
            "maf": lambda: zuko.flows.MAF(dims, transforms=LAYERS, hidden_features=(hidden, hidden)),
            "realnvp": lambda: zuko.flows.RealNVP(dims, transforms=COUPLINGS, hidden_features=(hidden, hidden)),
            "spline": lambda: zuko.flows.NSF(dims, bins=8, transforms=LAYERS, hidden_features=(hidden, hidden)),
        }[model]()
        return flow, lambda x: flow().log_prob(x), lambda n: flow().sample((n,))
    shape = {"features": dims, "hidden_features": hidden, "num_blocks_per_layer": 1}
    flow = {
        "maf": lambda: nflows.flows.MaskedAutoregressiveFlow(num_layers=LAYERS, use_residual_blocks=False, **shape),
        "realnvp": lambda: nflows.flows.SimpleRealNVP(num_layers=COUPLINGS, **shape),
    }[model]()
    return flow, flow.log_prob, flow.sample


def main():
    library, threads, case = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model, dims, hidden = case.split("-")
    flow, log_prob, sample = build(library, model, int(dims), int(hidden))
    x = torch.randn(BATCH, int(dims))
    adam = torch.optim.Adam(flow.parameters(), lr=1e-4)
    parameters = sum(p.numel() for p in flow.parameters())

    def step():
        adam.zero_grad()
        loss = -log_prob(x).mean()
        loss.backward()
        adam.step()

    def report(what, ms):
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        line = {"case": f"{case}, {what}", "ms": ms, "parameters": parameters, "memory": memory}
        print(json.dumps(line), flush=True)

    report(f"training step of {BATCH} rows", best(step))
    with torch.no_grad():
        report(f"log-density of {BATCH} rows", best(lambda: log_prob(x)))
        report(f"{SAMPLES} samples", best(lambda: sample(SAMPLES)))


if __name__ == "__main__":
    main()
