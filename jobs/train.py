"""Train a SEEC model: `python -m jobs.train --data FOLDER --checkpoint FILE`."""

import argparse
from pathlib import Path

import torch

from pipeline.codec.profile import LITE
from pipeline.training.loop import Trainer, TrainingSettings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--validate-every", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    settings = TrainingSettings(steps=args.steps, validate_every=args.validate_every)
    trainer = Trainer(LITE, settings, args.data)
    if args.checkpoint.exists():
        trainer.load(args.checkpoint)
    for p in trainer.run(args.checkpoint):
        shares = " ".join(f"{s:.2f}" for s in p.expert_shares)
        print(
            f"step {p.step} training {p.training_bpsp:.4f} validation {p.validation_bpsp:.4f} "
            f"bpsp, experts {shares}, {p.seconds:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
