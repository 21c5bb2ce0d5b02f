"""A training step beside other programs, with and without headstart's setting of how threads wait: busy.py [PROGRAMS]

Starts as many programs as said (default: one per core) that compute without end, then times steps of EfficientNet-Lite0
on two threads, in turns: as PyTorch waits by itself, and as `import headstart` has it wait (`GOMP_SPINCOUNT`).
Prints medians of wall and processor seconds of a step, and the ratios. PROGRAMS 0: a quiet machine.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys

STEPS, ROUNDS = 5, 3
STEP = f"""
import json, time
{{first}}
import timm, torch
torch.set_num_threads(2)
network = timm.create_model("tf_efficientnet_lite0", num_classes=10).to(memory_format=torch.channels_last)
images = torch.randn(32, 3, 96, 96).to(memory_format=torch.channels_last)
network(images).square().mean().backward()
wall, processor = time.perf_counter(), time.process_time()
for _ in range({STEPS}):
    network(images).square().mean().backward()
print(json.dumps([(time.perf_counter() - wall) / {STEPS}, (time.process_time() - processor) / {STEPS}]))
"""
WAYS = {"PyTorch's own": "", "headstart's": "import headstart"}


def main() -> None:
    programs = int(sys.argv[1]) if len(sys.argv) > 1 else os.cpu_count() or 1
    busy = [subprocess.Popen([sys.executable, "-c", "while True: sum(range(10**6))"]) for _ in range(programs)]
    environment = {
        name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    }
    times: dict[str, list[list[float]]] = {way: [] for way in WAYS}
    try:
        for _ in range(ROUNDS):
            for way, first in WAYS.items():
                command = [sys.executable, "-c", STEP.format(first=first)]
                output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
                times[way].append(json.loads(output))
    finally:
        for each in busy:
            each.kill()
    medians = {way: [statistics.median(column) for column in zip(*rows, strict=True)] for way, rows in times.items()}
    print(f"beside {programs} programs, {ROUNDS} rounds of {STEPS} steps, load {os.getloadavg()[0]:.1f}")
    for way, (wall, processor) in medians.items():
        walls = [row[0] for row in times[way]]
        print(f"{way:14} {wall:.3f} s ({min(walls):.3f} to {max(walls):.3f}), {processor:.3f} processor seconds a step")
    before, after = medians.values()
    print(f"ratio          {before[0] / after[0]:.2f} in time, {before[1] / after[1]:.2f} in processor seconds")


if __name__ == "__main__":
    main()
