"""Train a network: python train.py -opt options/train/compact_x4.yml [key.sub=value ...]."""

from sr.io.stop_signals import exit_at_signals

if __name__ == "__main__":
    with exit_at_signals():
        from sr.cli.train import main
    main()
