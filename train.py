"""Train a network: python train.py -opt options/train/compact_x4.yml [key.sub=value ...]."""

from sr.cli.train import main

if __name__ == "__main__":
    main()
