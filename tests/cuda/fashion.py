"""Learns all of Fashion-MNIST on a GPU: circuits whose states share their distributions of a value, and one whose states do not.

Usage: fashion.py LIMBECK DATA TABLE, where DATA is a folder with its IDX files, and TABLE the CSV to write.
"""

import csv
import json
import pathlib
import subprocess
import sys
import tempfile

# States, shared distributions (0: each state has its own), epochs.
CIRCUITS = [(256, 0, 15), (256, 96, 15), (512, 96, 24)]
STEPS = "--batch 1024 --first-step 0.8 --last-step 0.05 --pseudocount 0.01 --patience 8 --valid 0.05".split()
COLUMNS = ["states", "shared", "epochs", "seconds", "parameters", "train_bits_per_dim", "valid_bits_per_dim", "test_bits_per_dim"]


def answer(limbeck, *arguments):
    run = subprocess.run([limbeck, *map(str, arguments), "--json"], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(run.stdout)


def main(limbeck, data, table):
    images = {part: pathlib.Path(data) / f"{part}-images-idx3-ubyte.gz" for part in ("train", "t10k")}
    card = subprocess.run([limbeck, "devices"], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1].removeprefix("cuda:0: ")
    with tempfile.TemporaryDirectory() as scratch, open(table, "w", newline="") as out:
        rows = csv.writer(out, lineterminator="\n")
        rows.writerow(["device", *COLUMNS, "test_standard_error"])
        for states, shared, epochs in CIRCUITS:
            model = pathlib.Path(scratch) / "model"
            sizes = ["--states", states, "--shared", shared, "--epochs", epochs]
            learned = answer(limbeck, "fit", "hclt", "--gpu", "--data", images["train"], "--out", model, *sizes, *STEPS)
            tested = answer(limbeck, "score", model, "--data", images["t10k"])
            found = learned | {"states": states, "shared": shared, "test_bits_per_dim": tested["bits_per_dim"]}
            error = -tested["standard_error"] * tested["bits_per_dim"] / tested["mean_log_prob"]
            rows.writerow([card, *(found[column] for column in COLUMNS), error])
            out.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
