"""Upscale images: python infer.py -i INPUT... -o OUTPUT. See --help."""

from sr.io.stop_signals import exit_at_signals

if __name__ == "__main__":
    with exit_at_signals():
        from sr.cli.infer import main
    main()
