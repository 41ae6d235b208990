"""Learns the addresses in 27 letters on a GPU: by absorbing and by uniform noise, with networks of two sizes.

Usage: text.py LIMBECK TEXT TABLE [FOLDER], where TEXT is `datasets/sotu.txt.gz`, TABLE the CSV to write, and FOLDER where the models
go that are to be kept. All are learned at once.
"""

import concurrent.futures
import csv
import json
import pathlib
import subprocess
import sys
import tempfile

# Noise, steps (0: continuous time), width, blocks, epochs.
MODELS = [("absorbing", 0, 128, 4, 10), ("multinomial", 1000, 128, 4, 10)]
STEPS = "--text plain --batch 32 --patience 0 --valid 0.05 --draws 16 --gpu --json".split()
COLUMNS = ["seconds", "parameters", "train_bits_per_dim", "valid_bits_per_dim"]


def learn(limbeck, text, out, model):
    kind, steps, width, blocks, epochs = model
    sizes = ["--steps", steps, "--width", width, "--blocks", blocks, "--epochs", epochs]
    command = [limbeck, "fit", kind, "--data", text, "--out", out / f"{kind}-{width}.limbeck", *sizes, *STEPS]
    run = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(run.stdout)


def main(limbeck, text, table, folder=None):
    card = subprocess.run([limbeck, "devices"], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1].removeprefix("cuda:0: ")
    with tempfile.TemporaryDirectory() as scratch, concurrent.futures.ThreadPoolExecutor(len(MODELS)) as pool, open(table, "w", newline="") as out:
        models = pathlib.Path(folder or scratch)
        rows = csv.writer(out, lineterminator="\n")
        rows.writerow(["device", "noise", "steps", "width", "blocks", "epochs", *COLUMNS])
        for model, found in zip(MODELS, pool.map(lambda model: learn(limbeck, text, models, model), MODELS)):
            rows.writerow([card, *model, *(found[column] for column in COLUMNS)])
            out.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
