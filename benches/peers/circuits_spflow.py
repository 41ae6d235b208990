"""spflow's side of `just versus circuits`: its hidden Chow-Liu tree and its EM, on the CPU.

    python circuits_spflow.py THREADS hclt-digits-UNITS

Prints what `circuits.py` prints.
"""

import sys

from circuits import BATCH, ROWS, best, load, report

try:
    import numpy as np
    import torch
    from spflow.learn.expectation_maximization import expectation_maximization_batched
    from spflow.zoo.hclt.learn import learn_hclt_categorical
    from torch.utils.data import DataLoader
except ImportError as error:
    sys.exit(f"error: {error}; pip install -r requirements-circuits.txt")


def main() -> None:
    threads, case = int(sys.argv[1]), sys.argv[2]
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    torch.manual_seed(0)
    images, categories = load("digits")
    rows = torch.from_numpy(images.reshape(ROWS, -1).astype(np.float32))
    units = int(case.rsplit("-", 1)[1])
    circuit = learn_hclt_categorical(rows, num_hidden_cats=units, num_cats=categories, init="random")
    parameters = sum(p.numel() for p in circuit.parameters())

    def log_likelihood() -> float:
        with torch.inference_mode():
            return sum(circuit.log_likelihood(batch).sum().item() for batch in rows.split(BATCH)) / ROWS

    before = log_likelihood()
    report(f"{case}, log-likelihood of {ROWS} rows", best(log_likelihood), parameters)
    batches = DataLoader(rows, batch_size=BATCH)
    report(f"{case}, EM epoch of {ROWS} rows", best(lambda: expectation_maximization_batched(circuit, batches)), parameters)
    print(f"{case}: {before:.1f} nats a row before EM, {log_likelihood():.1f} after", file=sys.stderr)


if __name__ == "__main__":
    main()
