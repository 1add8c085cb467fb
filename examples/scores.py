"""Print in one line how far the best network of a run is ahead of bicubic upscaling.

python examples/scores.py runs/first_model/log.jsonl
"""

import json
import sys
from pathlib import Path


def main() -> None:
    """Print the line."""
    lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    events = [event for event in map(json.loads, lines) if event.get("item") == "validation"]
    best = [event for event in events if event["best"]][-1]
    for name, scores in best["scores"].items():
        bicubic, ours = best["bicubic"][name]["psnr_y"], scores["psnr_y"]
        sys.stdout.write(
            f"{name}: PSNR of bicubic {bicubic:.2f} dB, of your model {ours:.2f} dB"
            f" ({ours - bicubic:+.2f} dB) after {best['step']} steps\n"
        )


if __name__ == "__main__":
    main()
