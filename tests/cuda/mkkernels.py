"""Compiles CUDA sources for the stand-in. Usage: mkkernels.py OUT.so [INCLUDE_DIR...] -- FILE.cu...

Each file is preprocessed by g++, its `extern "C" __global__` functions are listed by name, `extern __shared__` arrays become
pointers, and a constructor registers every kernel. An OUT.asan.so is built with the address sanitizer.
"""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ENTRY = re.compile(r'extern\s*"C"\s*EMU_GLOBAL\s+void\s+(\w+)\s*\(')
DYNAMIC_SHARED = re.compile(r"extern\s+static\s+(\w[\w ]*?)\s*(\w+)\s*\[\s*\]\s*;")


def compile_one(source, target, flags):
    """Returns the compiler's complaint, or nothing."""
    header = ["-include", str(HERE / "cuda_emu.h")]
    preprocess = ["-x", "c++", "-E", "-P", "-D__global__=EMU_GLOBAL", f"-I{source.parent}", str(source)]
    text = subprocess.run(flags + header + preprocess, capture_output=True, text=True)
    if text.returncode:
        return text.stderr
    kernels = sorted(set(ENTRY.findall(text.stdout)))
    code = DYNAMIC_SHARED.sub(r"\1* \2 = (\1*)emu_dynshared();", text.stdout)
    code = code.replace("EMU_GLOBAL", "__attribute__((weak))")
    register = "".join(f'emu_reg("{k}", &decltype(emu_deduce(&{k}))::template call<&{k}>, 0);' for k in kernels)
    code += f"\nstatic int emu_registered = [] {{ {register} return 0; }}();\n"
    expanded = target.with_suffix(".cpp")
    expanded.write_text(code)
    return subprocess.run(flags + ["-c", str(expanded), "-o", str(target)], capture_output=True, text=True).stderr


def main(arguments):
    split = arguments.index("--")
    out, includes, sources = arguments[0], arguments[1:split], arguments[split + 1 :]
    sanitizer = ["-fsanitize=address,undefined"] if out.endswith(".asan.so") else []
    flags = ["g++", "-std=c++17", "-O1", "-g", "-fPIC", "-mf16c", "-ffp-contract=off", "-w", "-fpermissive"]
    flags += sanitizer + [f"-I{HERE}"] + [f"-I{folder}" for folder in includes]
    with tempfile.TemporaryDirectory() as folder:
        objects = [pathlib.Path(folder) / f"{i}.o" for i in range(len(sources))]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            complaints = list(pool.map(lambda s, o: compile_one(pathlib.Path(s), o, flags), sources, objects))
        for source, complaint in zip(sources, complaints):
            if complaint:
                print(f"{source}: {complaint[:2000]}", file=sys.stderr)
        if any(complaints):
            return 1
        # The entry points of the stand-in are found in the program that loads this.
        subprocess.run(["g++", "-shared", "-o", out, *sanitizer, *map(str, objects)], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
