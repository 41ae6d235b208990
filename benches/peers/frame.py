"""blackjax's and numba's side of `versus_frame`: Langevin steps of the same energy, sweeps of the same law.

Usage: frame.py THREADS CASE. Prints a JSON object a line: {"case": ..., "ms": ..., "parameters": ..., "memory": ...}.
blackjax's step is jitted and called from a loop in Python: inside `lax.scan` XLA's convolutions on a CPU are thirteen times slower.
The sweep is the law as it is written, compiled by numba: for every pixel and level, the cost of all responses that see it.
"""

import json
import math
import os
import resource
import sys
import time

THREADS, CASE = int(sys.argv[1]), sys.argv[2]
os.environ["OMP_NUM_THREADS"] = os.environ["NUMBA_NUM_THREADS"] = str(THREADS)
os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={'true' if THREADS > 1 else 'false'} intra_op_parallelism_threads={THREADS}"
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])

try:
    import numpy as np

    if CASE == "langevin":
        import blackjax
        import jax
        from jax import numpy as jnp
    else:
        import numba
except ImportError as error:
    sys.exit(f"a library is missing ({error}): pip install -r benches/peers/requirements-frame.txt into this environment")

CHAINS, SIDE, LEVELS = 64, 128, 8


def best(run, seconds=1.5):
    run()
    begin, shortest = time.perf_counter(), float("inf")
    while shortest == float("inf") or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        run()
        shortest = min(shortest, time.perf_counter() - start)
    return shortest * 1e3


def report(what, ms, parameters):
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"case": f"{CASE}, {what}", "ms": ms, "parameters": parameters, "memory": memory}), flush=True)


def langevin():
    keys = jax.random.split(jax.random.PRNGKey(0), 8)
    widths = [3, 32, 64, 128]
    net = []
    for i, (inputs, outputs) in enumerate(zip(widths, widths[1:])):
        reach = 1 / math.sqrt(9 * inputs)
        net.append((jax.random.uniform(keys[i], (outputs, inputs, 3, 3), minval=-reach, maxval=reach), jnp.zeros(outputs)))
    last = jax.random.uniform(keys[4], (128,), minval=-0.09, maxval=0.09)

    def log_p(x):
        h = x
        for weight, bias in net:
            h = jax.lax.conv_general_dilated(h, weight, (2, 2), ((1, 1), (1, 1))) + bias[:, None, None]
            h = jax.nn.silu(h)
        return (h.mean((2, 3)) @ last - 0.5 * (x * x).sum((1, 2, 3))).sum()

    sgld = blackjax.sgld(lambda x, _: jax.grad(log_p)(x))
    step = jax.jit(lambda key, x: sgld.step(key, x, None, 1e-3))
    state = {"x": jax.random.normal(keys[5], (CHAINS, 3, 32, 32)), "key": keys[6]}

    def run():
        state["key"], key = jax.random.split(state["key"])
        state["x"] = step(key, state["x"]).block_until_ready()

    parameters = sum(w.size + b.size for w, b in net) + last.size + 1
    report(f"step of {CHAINS} × 3 × 32 × 32", best(run), int(parameters))


def windows():
    """Each with its origin: the grey level, two gradients, a spot, six waves of four pixels."""

    def around(radius, value):
        y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(float)
        return value(x, y)

    def spot(x, y):
        bell = (x * x + y * y - 1) * np.exp(-(x * x + y * y))
        bell -= bell.mean()
        return bell / np.abs(bell).sum()

    def wave(degrees):
        def value(x, y):
            angle = math.radians(degrees)
            across, along = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
            bell = np.exp(-(4 * across**2 + along**2) / 32) * (x * x + y * y <= 36)
            even = bell * np.cos(2 * math.pi * across / 4)
            even -= bell * even.sum() / bell.sum()
            return even / np.abs(even).sum()

        return around(6, value)

    small = [(np.array([[1.0]]), 0, 0), (np.array([[1.0, -1.0]]), 0, 0), (np.array([[1.0], [-1.0]]), 0, 0)]
    return small + [(around(3, spot), 3, 3)] + [(wave(30 * i), 6, 6) for i in range(6)]


def gibbs():
    filters = windows()
    sizes = np.array([[w.shape[0], w.shape[1], i, j] for w, i, j in filters])
    weights = np.zeros((len(filters), 13, 13), np.float32)
    for f, (w, _, _) in enumerate(filters):
        weights[f, : w.shape[0], : w.shape[1]] = w
    potentials = np.tile(0.02 * (np.arange(17) - 8.0) ** 2, (len(filters), 1)).astype(np.float32)
    rng = np.random.default_rng(0)
    image = rng.integers(0, LEVELS, (SIDE, SIDE))
    responses = np.zeros((len(filters), SIDE, SIDE), np.float32)
    for f, (w, oi, oj) in enumerate(filters):
        for a in range(w.shape[0]):
            for b in range(w.shape[1]):
                responses[f] += w[a, b] * np.roll(image, (oi - a, oj - b), (0, 1))

    @numba.njit(fastmath=True)
    def sweep(image, responses, weights, sizes, potentials, draws):
        energies = np.zeros(LEVELS, np.float32)
        for i in range(SIDE):
            for j in range(SIDE):
                own = image[i, j]
                energies[:] = 0
                for f in range(len(sizes)):
                    tall, wide, oi, oj = sizes[f]
                    for a in range(tall):
                        p = (i + oi - a) % SIDE
                        for b in range(wide):
                            q = (j + oj - b) % SIDE
                            r, w = responses[f, p, q], weights[f, a, b]
                            for g in range(LEVELS):
                                bin = int((r + (g - own) * w + np.float32(2.0)) * np.float32(4.0))
                                energies[g] += potentials[f, min(max(bin, 0), 16)]
                least = energies.min()
                total = 0.0
                for g in range(LEVELS):
                    total += math.exp(least - energies[g])
                left, level = draws[i, j] * total, 0
                for g in range(LEVELS):
                    left -= math.exp(least - energies[g])
                    if left < 0:
                        level = g
                        break
                if level != own:
                    image[i, j] = level
                    for f in range(len(sizes)):
                        tall, wide, oi, oj = sizes[f]
                        for a in range(tall):
                            for b in range(wide):
                                responses[f, (i + oi - a) % SIDE, (j + oj - b) % SIDE] += (level - own) * weights[f, a, b]

    def run():
        sweep(image, responses, weights, sizes, potentials, rng.random((SIDE, SIDE)))

    report(f"sweep of {SIDE} × {SIDE}, {LEVELS} levels, 10 filters", best(run, 3.0), None)


if __name__ == "__main__":
    langevin() if CASE == "langevin" else gibbs()
