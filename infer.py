"""Upscale images: python infer.py -i INPUT... -o OUTPUT. See --help."""

from sr.cli.infer import main

if __name__ == "__main__":
    main()
