"""The peer's side of `just versus circuits`: libcirkit on the CPU.

    python circuits.py THREADS

Prints one JSON object a line for each case, {"case": …, "ms": …}; everything else goes to stderr.

The circuit is libcirkit's own HCLT: `tabular_data("chow-liu-tree", …, sum_product_layer="cp")` on the rows that it is
timed on, with 64 × 17 × H categorical parameters, one H × H sum layer for every region below the root, the leaves
included, and H weights at the root. Limbeck's HCLT has one H × H matrix for every edge of the tree, 63 of them:
fewer parameters for the same tree and the same H.

The EM is libcirkit's own `em_optimizer.EM`, one step for every batch. Its E-step is the backward pass: with
ℓ = Σ_x log p(x), the flows are θ ∂ℓ/∂θ. Its M-step is

    θ ← (1 − lr) θ + lr (flow + α/C) / (Σ flow + α)      lr = 1, α = 0.1, C the entries of a distribution

which wants the probabilities themselves as parameters: they start from a Dirichlet, and no softmax is in the way.
"""

import json
import sys
import time
from pathlib import Path

try:
    import numpy as np
    import torch
    from cirkit.backend.torch.em_optimizer import EM
    from cirkit.pipeline import PipelineContext
    from cirkit.templates.data_modalities import tabular_data
    from cirkit.templates.utils import Parameterization, parameterization_to_factory
except ImportError as error:
    remedy = f"pip install -r {Path(__file__).with_name('requirements-circuits.txt')}"
    sys.exit(f"error: {error}; {remedy} (libcirkit, not the package named cirkit)")

ROWS, BATCH, CATEGORIES = 1500, 250, 17
DIGITS = Path(__file__).resolve().parents[2] / "datasets" / "digits.npz"
SIMPLEX = Parameterization(initialization="dirichlet")


def main() -> None:
    if len(sys.argv) != 2 or not sys.argv[1].isdecimal() or int(sys.argv[1]) == 0:
        sys.exit("usage: python circuits.py THREADS")
    torch.set_num_threads(int(sys.argv[1]))
    torch.set_num_interop_threads(1)
    torch.manual_seed(0)
    images = np.load(DIGITS)["images"][:ROWS]
    rows = torch.from_numpy(images.reshape(ROWS, -1).astype(np.int64))
    for states in [16, 64, 256]:
        measure(rows, states)


def measure(rows: torch.Tensor, states: int) -> None:
    circuit = hclt(rows, states)
    name = f"HCLT {rows.shape[1]}×{CATEGORIES}, H = {states}"

    def log_likelihood() -> float:
        with torch.inference_mode():
            return circuit(rows).mean().item()

    before = log_likelihood()
    report(f"{name}, log-likelihood of {ROWS} rows", best(log_likelihood))
    em = EM(circuit, lr=1.0, pseudocount=0.1)

    def epoch() -> None:
        for batch in rows.split(BATCH):
            em.zero_grad()
            circuit(batch).sum().backward()
            em.step()

    ms = best(epoch)
    report(f"{name}, EM epoch of {ROWS} rows", ms, parameters=sum(p.numel() for p in circuit.parameters()))
    print(f"{name}: {before:.1f} nats a row before EM, {log_likelihood():.1f} after", file=sys.stderr)


def hclt(rows: torch.Tensor, states: int) -> torch.nn.Module:
    leaf = {"num_categories": CATEGORIES, "probs_factory": parameterization_to_factory(SIMPLEX)}
    symbolic = tabular_data(
        "chow-liu-tree",
        data=rows,
        input_layers={"name": "categorical", "args": leaf},
        num_input_units=states,
        sum_product_layer="cp",
        num_sum_units=states,
        sum_weight_param=SIMPLEX,
    )
    return PipelineContext(backend="torch", semiring="lse-sum", fold=True, optimize=True).compile(symbolic)


def best(run, seconds: float = 3.0, least: int = 3) -> float:
    """The best time of as many runs as fit, and of `least` at least, after one to warm up, milliseconds."""
    run()
    began, times = time.perf_counter(), []
    while len(times) < least or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1e3)
    return min(times)


def report(case: str, ms: float, **more: int) -> None:
    print(json.dumps({"case": case, "ms": round(ms, 3), **more}, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
