"""libcirkit's side of `just versus circuits`, on the CPU.

    python circuits.py THREADS STRUCTURE-DATA-UNITS

Prints one JSON object a line for each measurement, {"case": …, "ms": …, "parameters": …, "memory": …}, the last the most
memory of the process in MiB; everything else goes to stderr.

The circuits are libcirkit's own: its Chow-Liu tree of the rows it is timed on, its quad tree with four splits, its random
binary trees of depth 6, four times over; all with CP layers and as many units as ours. It gives every region below the
root a layer of its own, the leaves included, so its circuits have more parameters than ours of the same structure.
Log-likelihoods below −708.4 it cuts off there: from 784 variables of 256 categories it learns nothing, in the same time.

The EM is libcirkit's own `em_optimizer.EM`, one step for every batch. Its E-step is the backward pass: with
ℓ = Σ_x log p(x), the flows are θ ∂ℓ/∂θ. Its M-step is

    θ ← (1 − lr) θ + lr (flow + α/C) / (Σ flow + α)      lr = 1, α = 0.1, C the entries of a distribution

which wants the probabilities themselves as parameters: they start from a Dirichlet, and no softmax is in the way.
"""

import gzip
import json
import resource
import sys
import time
from pathlib import Path

try:
    import numpy as np
    import torch
    from cirkit.backend.torch.em_optimizer import EM
    from cirkit.pipeline import PipelineContext
    from cirkit.templates.region_graph import ChowLiuTree, QuadTree, RandomBinaryTree
    from cirkit.templates.utils import Parameterization, name_to_input_layer_factory, parameterization_to_factory
except ImportError as error:
    remedy = f"pip install -r {Path(__file__).with_name('requirements-circuits.txt')}"
    sys.exit(f"error: {error}; {remedy} (libcirkit, not the package named cirkit)")

ROWS, BATCH = 1500, 250
DATA = Path(__file__).resolve().parents[2] / "datasets"
SIMPLEX = Parameterization(initialization="dirichlet")


def main() -> None:
    if len(sys.argv) != 3 or not sys.argv[1].isdecimal() or int(sys.argv[1]) == 0:
        sys.exit("usage: python circuits.py THREADS STRUCTURE-DATA-UNITS")
    torch.set_num_threads(int(sys.argv[1]))
    torch.set_num_interop_threads(1)
    torch.manual_seed(0)
    case = sys.argv[2]
    structure, data, units = case.rsplit("-", 2)
    images, categories = load(data)
    rows = torch.from_numpy(images.reshape(ROWS, -1).astype(np.int64))
    circuit = build(structure, rows, images.shape[1:], categories, int(units))
    parameters = sum(p.numel() for p in circuit.parameters())

    def log_likelihood() -> float:
        with torch.inference_mode():
            return sum(circuit(batch).sum().item() for batch in rows.split(BATCH)) / ROWS

    before = log_likelihood()
    report(f"{case}, log-likelihood of {ROWS} rows", best(log_likelihood), parameters)
    em = EM(circuit, lr=1.0, pseudocount=0.1)

    def epoch() -> None:
        for batch in rows.split(BATCH):
            em.zero_grad()
            circuit(batch).sum().backward()
            em.step()

    report(f"{case}, EM epoch of {ROWS} rows", best(epoch), parameters)
    print(f"{case}: {before:.1f} nats a row before EM, {log_likelihood():.1f} after", file=sys.stderr)


def load(data: str) -> tuple[np.ndarray, int]:
    """Images `(rows, height, width)` and the number of their grey levels."""
    if data == "digits":
        return np.load(DATA / "digits.npz")["images"][:ROWS], 17
    raw = gzip.decompress((DATA / "fashion-mnist/train-images-idx3-ubyte.gz").read_bytes())
    return np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 28, 28)[:ROWS], 256


def build(structure: str, rows: torch.Tensor, shape: tuple, categories: int, units: int) -> torch.nn.Module:
    leaf = {"num_categories": categories, "probs_factory": parameterization_to_factory(SIMPLEX)}
    if structure == "hclt":
        # With all 256 levels its tables of pairs would take 300 GB, with 16 they take 16: of these pixels the halves will do.
        step = 128 if categories > 64 else 1
        levels = -(-categories // step)
        regions = ChowLiuTree(rows // step, input_type="categorical", num_categories=levels, as_region_graph=True)
    elif structure == "quad-tree":
        regions = QuadTree((1, *shape), num_patch_splits=4)
    else:
        regions = RandomBinaryTree(rows.shape[1], depth=6, num_repetitions=4)
    weights = parameterization_to_factory(SIMPLEX)
    symbolic = regions.build_circuit(
        input_factory=name_to_input_layer_factory("categorical", **leaf),
        sum_product="cp",
        sum_weight_factory=weights,
        nary_sum_weight_factory=weights,
        num_input_units=units,
        num_sum_units=units,
        num_classes=1,
        factorize_multivariate=True,
    )
    return PipelineContext(backend="torch", semiring="lse-sum", fold=True, optimize=True).compile(symbolic)


def best(run, seconds: float = 3.0, least: int = 3) -> float:
    """The best time of as many runs as fit, and of `least` at least, after one to warm up, milliseconds.

    A run that takes ten seconds is done once.
    """
    start = time.perf_counter()
    run()
    times = [time.perf_counter() - start]
    if times[0] < 10:
        times, began = [], time.perf_counter()
        while len(times) < least or time.perf_counter() - began < seconds:
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
    return min(times) * 1e3


def report(case: str, ms: float, parameters: int) -> None:
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line = {"case": case, "ms": round(ms, 3), "parameters": parameters, "memory": round(memory)}
    print(json.dumps(line, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
